// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkPhase} from "./NetworkTypes.sol";

/// @title EIP-712 struct hashes of the messages that nodes and validators sign for network tasks.
/// @dev The structs are in NetworkTypes.sol. The signer is the account that is recovered from the signature.
library NetworkMessages {
    bytes32 private constant PING_TYPEHASH = keccak256("Ping(address node,uint256 time)");
    bytes32 private constant CREATE_TYPEHASH =
        keccak256("NetworkCreate(uint256 requestId,uint256 seed,string domain,string subdomain)");
    bytes32 private constant PHASE_TYPEHASH =
        keccak256("NetworkPhase(string instruction,uint256 quorum,uint256 precommitSeconds)");
    bytes32 private constant CREATE_PHASED_TYPEHASH = keccak256(
        "NetworkCreatePhased(uint256 requestId,uint256 seed,string domain,string subdomain,NetworkPhase[] phases)"
        "NetworkPhase(string instruction,uint256 quorum,uint256 precommitSeconds)"
    );
    bytes32 private constant PREPARE_TYPEHASH =
        keccak256("NetworkPrepare(uint256 id,uint256 seed,string[] challenges)");
    bytes32 private constant PRECOMMIT_TYPEHASH =
        keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
    bytes32 private constant COMMIT_TYPEHASH =
        keccak256("NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)");
    bytes32 private constant VERDICT_TYPEHASH =
        keccak256("NetworkVerdict(uint256 id,uint256 seed,uint256[] accuraciesBps)");

    function ping(address node, uint256 time) internal pure returns (bytes32) {
        return keccak256(abi.encode(PING_TYPEHASH, node, time));
    }

    function create(uint256 requestId, uint256 seed, string calldata domain, string calldata subdomain)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(CREATE_TYPEHASH, requestId, seed, keccak256(bytes(domain)), keccak256(bytes(subdomain)))
        );
    }

    function createPhased(
        uint256 requestId,
        uint256 seed,
        string calldata domain,
        string calldata subdomain,
        NetworkPhase[] calldata phases
    ) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](phases.length);
        for (uint256 i; i < phases.length; ++i) {
            NetworkPhase calldata p = phases[i];
            bytes32 instruction = keccak256(bytes(p.instruction));
            hashes[i] = keccak256(abi.encode(PHASE_TYPEHASH, instruction, p.quorum, p.precommitSeconds));
        }
        return keccak256(
            abi.encode(
                CREATE_PHASED_TYPEHASH,
                requestId,
                seed,
                keccak256(bytes(domain)),
                keccak256(bytes(subdomain)),
                keccak256(abi.encodePacked(hashes))
            )
        );
    }

    function prepare(uint256 id, uint256 seed, string[] calldata challenges) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](challenges.length);
        for (uint256 i; i < challenges.length; ++i) {
            hashes[i] = keccak256(bytes(challenges[i]));
        }
        return keccak256(abi.encode(PREPARE_TYPEHASH, id, seed, keccak256(abi.encodePacked(hashes))));
    }

    function precommit(uint256 id, uint256 seed, bytes32 hash) internal pure returns (bytes32) {
        return keccak256(abi.encode(PRECOMMIT_TYPEHASH, id, seed, hash));
    }

    function commit(uint256 id, uint256 seed, string calldata completion, uint256 salt)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(COMMIT_TYPEHASH, id, seed, keccak256(bytes(completion)), salt));
    }

    function verdict(uint256 id, uint256 seed, uint256[] calldata accuraciesBps) internal pure returns (bytes32) {
        return keccak256(abi.encode(VERDICT_TYPEHASH, id, seed, keccak256(abi.encodePacked(accuraciesBps))));
    }
}
