// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title The network's money, $COR. The whole supply is minted once; nobody can mint more.
/// @notice A holder without gas money pays by signature: `permit` lets a spender take, and the
///         authorizations of ERC-3009 move an amount once, within a time, to one recipient. Both kinds of
///         signature count for the EIP-712 domain ("Cortensor", "1", this chain, this contract).
/// @dev Of ERC-3009's functions OpenZeppelin has those with `v, r, s`. The ones with `bytes` are USDC's: they
///      also take the signatures of wallets that are contracts (ERC-1271), and x402's clients make use of them.
contract CortensorToken is ERC20Permit, ERC3009 {
    /// @param treasury receives the whole supply
    /// @param supply in wei
    constructor(address treasury, uint256 supply) ERC20("Cortensor", "COR") ERC20Permit("Cortensor") {
        _mint(treasury, supply);
    }

    /// @notice Moves `value` from `from` to `to`, as `from` has signed. Anybody may send it; it counts once.
    /// @param validAfter the second since 1970 after which it counts
    /// @param validBefore the second since 1970 from which on it counts no more
    /// @param nonce any 32 bytes that `from` has not used
    /// @param signature of TransferWithAuthorization: r, s, v of `from`'s key, or what its contract accepts
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        bytes32 terms = keccak256(
            abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _requireSigned(from, terms, signature);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice The same for a recipient that must learn of what it gets: only `to` itself may send it, so that
    ///         nobody can come first and move the money past the recipient's own bookkeeping.
    /// @param signature of ReceiveWithAuthorization
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        bytes32 terms = keccak256(
            abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _requireSigned(from, terms, signature);
        if (to != msg.sender) revert ERC20InvalidReceiver(to);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice Makes an authorization worthless that was not used yet.
    /// @param signature of CancelAuthorization
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external {
        _requireSigned(
            authorizer, keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)), signature
        );
        _cancelAuthorization(authorizer, nonce);
    }

    function _requireSigned(address signer, bytes32 terms, bytes calldata signature) private view {
        bytes32 digest = _hashTypedDataV4(terms);
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) {
            revert ERC3009InvalidSignature();
        }
    }
}
