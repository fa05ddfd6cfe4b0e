// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Verdict} from "./TaskTypes.sol";
import {Words} from "../common/Words.sol";

/// @title EIP-712 struct hashes of the messages that miners and validators sign for the chain.
/// @dev A miner also signs its commit, but only the router checks that signature. The chain needs none: see Reveal.
library TaskMessages {
    bytes32 private constant ACK_TYPEHASH =
        keccak256("Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)");
    bytes32 private constant PRECOMMIT_TYPEHASH =
        keccak256("Precommit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,bytes32 hash)");
    bytes32 private constant VERDICT_TYPEHASH = keccak256(
        "Verdict(uint256 sessionId,uint256 taskId,bytes32 taskDigest,uint256 inputTokens,"
        "address[] miners,uint256[] accuraciesBps,uint256[] outputTokens)"
    );

    function ackHash(uint256 sessionId, uint256 taskId, bytes32 taskDigest, address miner)
        internal
        pure
        returns (bytes32)
    {
        return Words.hash5(ACK_TYPEHASH, sessionId, taskId, taskDigest, bytes32(uint256(uint160(miner))));
    }

    function precommitHash(uint256 sessionId, uint256 taskId, bytes32 taskDigest, address miner, bytes32 hash)
        internal
        pure
        returns (bytes32)
    {
        return Words.hash6(PRECOMMIT_TYPEHASH, sessionId, taskId, taskDigest, uint256(uint160(miner)), hash);
    }

    function verdictHash(Verdict calldata v, bytes32 taskDigest) internal pure returns (bytes32) {
        return Words.hash8(
            VERDICT_TYPEHASH,
            v.sessionId,
            v.taskId,
            taskDigest,
            v.inputTokens,
            _hashOf(v.miners),
            _hashOf(v.accuraciesBps),
            _hashOf(v.outputTokens)
        );
    }

    /// @dev A list in calldata has the encoding that EIP-712 hashes: a word for each element. An address with dirty
    ///      high bits gives another hash, for which no signature exists.
    function _hashOf(address[] calldata list) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, list.offset, shl(5, list.length))
            hash := keccak256(words, shl(5, list.length))
        }
    }

    function _hashOf(uint256[] calldata list) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, list.offset, shl(5, list.length))
            hash := keccak256(words, shl(5, list.length))
        }
    }
}
