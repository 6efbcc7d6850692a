"""The words of the house: records, ports, errors and stage signatures. Standard library and temporalio only."""
