// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Ack, Commit, Precommit, Verdict} from "./TaskTypes.sol";

/// @title EIP-712 struct hashes of what miners and validators sign.
library TaskMessages {
    bytes32 private constant ACK_TYPEHASH =
        keccak256("Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)");
    bytes32 private constant PRECOMMIT_TYPEHASH =
        keccak256("Precommit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,bytes32 hash)");
    bytes32 private constant COMMIT_TYPEHASH =
        keccak256("Commit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,string data)");
    bytes32 private constant VERDICT_TYPEHASH = keccak256(
        "Verdict(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,"
        "uint256 accuracyBps,uint256 inputTokens,uint256 outputTokens)"
    );

    function structHash(Ack calldata m) internal pure returns (bytes32) {
        return keccak256(abi.encode(ACK_TYPEHASH, m.sessionId, m.taskId, m.taskDigest, m.miner));
    }

    function structHash(Precommit calldata m) internal pure returns (bytes32) {
        return keccak256(abi.encode(PRECOMMIT_TYPEHASH, m.sessionId, m.taskId, m.taskDigest, m.miner, m.hash));
    }

    function structHash(Commit calldata m) internal pure returns (bytes32) {
        bytes32 dataHash = keccak256(bytes(m.data));
        return keccak256(abi.encode(COMMIT_TYPEHASH, m.sessionId, m.taskId, m.taskDigest, m.miner, dataHash));
    }

    /// @dev All members are words, so the struct's own encoding is its EIP-712 encoding.
    function structHash(Verdict calldata m) internal pure returns (bytes32) {
        return keccak256(abi.encode(VERDICT_TYPEHASH, m));
    }
}
