"""The deployed contracts: their addresses, their accounts, and views of them."""
