"""Results over time: kept in a folder or a database by any number of CI jobs, and read as a trend over releases."""
