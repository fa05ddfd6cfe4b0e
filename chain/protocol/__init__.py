"""What is signed, hashed and packed. Pure, and the same in Solidity."""
