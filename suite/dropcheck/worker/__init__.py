"""The suite's end of the pipe: workers started, asked and watched; what a process in which a layer runs must give back."""
