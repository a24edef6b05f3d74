"""The release gate: from a policy, waivers and results to a decision, a pure function of them."""
