// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {RoleGuarded, RoleIds, Roles} from "./Roles.sol";

enum NodeState {
    Unknown,
    Registered,
    Active,
    Ephemeral,
    Reserved,
    Dedicated
}

/// @notice What a node signs to be registered by somebody else.
/// @param node the signer: the key of the miner's machine
/// @param operator whose machine it is
/// @param nonce `nonces(node)` at the time of signing
struct Registration {
    address node;
    address operator;
    uint256 nonce;
}

/// @title The register of nodes: who runs them, what they may be used for, how they have done.
contract NodePool is RoleGuarded, EIP712 {
    /// @dev One storage word: 160 + 8 + 16 + 40 = 224 bits.
    struct Node {
        address operator;
        NodeState state;
        int16 reputation;
        uint40 registeredAt;
    }

    struct NodeView {
        address node;
        address operator;
        NodeState state;
        int256 reputation;
        uint256 registeredAt;
    }

    int256 public constant REPUTATION_GAIN = 1;
    int256 public constant REPUTATION_LOSS = 3;
    int256 public constant REPUTATION_FLOOR = -100;
    int256 public constant REPUTATION_CAP = 1000;

    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(address node,address operator,uint256 nonce)");

    mapping(address node => uint256) public nonces;
    mapping(address node => Node) private _nodes;
    address[] private _nodeList;

    event NodeRegistered(address indexed node, address indexed operator);
    event NodeStateChanged(address indexed node, uint8 state);
    event NodeReputationChanged(address indexed node, int256 delta, int256 reputation);

    error AlreadyRegistered(address node);
    error NotRegistered(address node);
    error StateNotAllowed(NodeState state);
    error WrongNonce(address node, uint256 given, uint256 expected);
    error WrongSigner(address expected, address recovered);
    error ZeroOperator();

    constructor(Roles roles_) RoleGuarded(roles_) EIP712("Cortensor", "1") {}

    /// @notice Registers the sender as a node that it operates itself.
    function register() external {
        _register(msg.sender, msg.sender);
    }

    /// @notice Registers a node that has no gas: anyone may send its signature.
    function registerFor(Registration calldata registration, bytes calldata signature) external {
        address node = registration.node;
        if (registration.nonce != nonces[node]) revert WrongNonce(node, registration.nonce, nonces[node]);
        bytes32 structHash =
            keccak256(abi.encode(REGISTRATION_TYPEHASH, node, registration.operator, registration.nonce));
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        if (signer != node) revert WrongSigner(node, signer);
        nonces[node]++;
        _register(node, registration.operator);
    }

    function setNodeState(address node, NodeState state) external onlyRole(RoleIds.ORACLE) {
        _setState(node, state);
    }

    function setNodeStates(address[] calldata nodes, NodeState state) external onlyRole(RoleIds.ORACLE) {
        for (uint256 i; i < nodes.length; ++i) {
            _setState(nodes[i], state);
        }
    }

    /// @notice Moves a node's reputation after a task; never reverts for a node's sake, since a
    ///         settlement must not hang on it.
    function recordOutcome(address node, bool success) external onlyRole(RoleIds.MODULE) {
        int256 before = _nodes[node].reputation;
        int256 afterwards = success ? before + REPUTATION_GAIN : before - REPUTATION_LOSS;
        if (afterwards > REPUTATION_CAP) afterwards = REPUTATION_CAP;
        if (afterwards < REPUTATION_FLOOR) afterwards = REPUTATION_FLOOR;
        // Fits: the bounds are far inside int16.
        _nodes[node].reputation = int16(afterwards);
        emit NodeReputationChanged(node, afterwards - before, afterwards);
    }

    /// @notice Whether a node may be put on users' tasks.
    function isEligible(address node) external view returns (bool) {
        NodeState state = _nodes[node].state;
        return state == NodeState.Ephemeral || state == NodeState.Dedicated;
    }

    function reputationOf(address node) external view returns (int256) {
        return _nodes[node].reputation;
    }

    function getNodeCount() external view returns (uint256) {
        return _nodeList.length;
    }

    /// @notice A page of the register in order of registration; short or empty at the end.
    function getNodes(uint256 offset, uint256 amount) external view returns (NodeView[] memory page) {
        uint256 count = _nodeList.length;
        if (offset >= count) return page;
        uint256 size = amount < count - offset ? amount : count - offset;
        page = new NodeView[](size);
        for (uint256 i; i < size; ++i) {
            page[i] = getNode(_nodeList[offset + i]);
        }
    }

    /// @notice One node; state Unknown when it never registered.
    function getNode(address node) public view returns (NodeView memory) {
        Node storage stored = _nodes[node];
        return NodeView(node, stored.operator, stored.state, stored.reputation, stored.registeredAt);
    }

    function _register(address node, address operator) private {
        if (operator == address(0)) revert ZeroOperator();
        Node storage stored = _nodes[node];
        if (stored.state != NodeState.Unknown) revert AlreadyRegistered(node);
        stored.operator = operator;
        stored.state = NodeState.Registered;
        stored.registeredAt = uint40(block.timestamp);
        _nodeList.push(node);
        emit NodeRegistered(node, operator);
        emit NodeStateChanged(node, uint8(NodeState.Registered));
    }

    function _setState(address node, NodeState state) private {
        if (state == NodeState.Unknown) revert StateNotAllowed(state);
        if (_nodes[node].state == NodeState.Unknown) revert NotRegistered(node);
        _nodes[node].state = state;
        emit NodeStateChanged(node, uint8(state));
    }
}
