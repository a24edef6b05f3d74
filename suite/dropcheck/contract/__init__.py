"""What a layer promises, and one situation to test it in. Standard library and NumPy only, Python 3.9: the worker reads it."""

from dropcheck.contract.promise import Contract as Contract
from dropcheck.contract.promise import ContractError as ContractError
from dropcheck.contract.promise import Pattern as Pattern
from dropcheck.contract.promise import check_rate as check_rate
from dropcheck.contract.promise import patterns as patterns
