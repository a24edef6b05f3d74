"""The field report: every implementation that can run here, in every mode and dtype, each failing cell confirmed."""
