// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Mark} from "../task/Marks.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {Versioned} from "../common/Versioned.sol";

enum NodeState {
    Unknown,
    Registered,
    Active,
    Ephemeral,
    Reserved,
    Dedicated
}

/// @notice The message that a node signs so that another account can register it.
/// @param node the signer, whose key is on the miner's machine
/// @param operator the account that controls the node
/// @param nonce `nonces(node)` at the time of signing
struct Registration {
    address node;
    address operator;
    uint256 nonce;
}

/// @title The register of nodes: their operators, their states, their reputations and their stakes.
/// @notice At every block the contract holds at least `totalStaked + totalUnbonding + slashed` tokens: the stakes, the
///         amounts that wait to be withdrawn, and the amounts slashed from nodes that did not reveal their results.
contract NodePool is Versioned, EIP712, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// @dev One storage word: 160 + 8 + 16 + 32 + 40 = 256 bits. `index` numbers nodes from 1 in order of registration,
    ///      so that other contracts can identify a node with few bits.
    struct Node {
        address operator;
        NodeState state;
        int16 reputation;
        uint32 index;
        uint40 registeredAt;
    }

    /// @dev One storage word: 104 + 104 + 40 = 248 bits. 2^104 wei are 20 trillion $COR.
    struct Stake {
        uint104 staked;
        uint104 unbonding;
        uint40 releaseAt;
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
    /// @notice The seconds between `unbond` and withdrawal, in which the stake can still be slashed.
    uint256 public constant UNBONDING_PERIOD = 7 days;
    /// @notice The share of a node's staked and unbonding tokens that one slashing takes, in basis points.
    uint256 public constant SLASH_BPS = 1_000;
    uint256 public constant MAX_MODELS = 64;
    uint256 private constant BPS = 10_000;

    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(address node,address operator,uint256 nonce)");

    IERC20 public immutable token;

    /// @notice The least stake that a node needs to be assigned to users' tasks, in wei.
    uint256 public minimumStake;
    uint256 public totalStaked;
    uint256 public totalUnbonding;
    /// @notice The slashed tokens that have not been collected yet.
    uint256 public slashed;
    mapping(address node => uint256) public nonces;
    mapping(address node => Node) private _nodes;
    mapping(address node => Stake) private _stakes;
    mapping(address node => uint256[]) private _models;
    mapping(address operator => address[]) private _nodesOf;
    address[] private _nodeList;

    event NodeRegistered(address indexed node, address indexed operator);
    event NodeStateChanged(address indexed node, uint8 state);
    /// @param changes a word for each node: its address in the high 160 bits, its new reputation in the low 96
    event NodeReputationsChanged(uint256[] changes);
    event NodeModelsSet(address indexed node, uint256[] modelIdentifiers);
    event MinimumStakeSet(uint256 amount);
    event Staked(address indexed node, address indexed from, uint256 amount);
    event Unbonding(address indexed node, uint256 amount, uint256 releaseAt);
    event StakeWithdrawn(address indexed node, address indexed operator, uint256 amount);
    event Slashed(address indexed node, uint256 amount);
    event SlashedCollected(address indexed to, uint256 amount);

    error AlreadyRegistered(address node);
    error NotRegistered(address node);
    error NotOperator(address node, address account);
    error StateNotAllowed(NodeState state);
    error TooManyModels(uint256 given, uint256 most);
    error WrongNonce(address node, uint256 given, uint256 expected);
    error WrongSigner(address expected, address recovered);
    error ZeroOperator();
    error ZeroAmount();
    error InsufficientStake(address node, uint256 needed, uint256 available);
    error StillBonded(address node, uint256 releaseAt);

    modifier onlyOperator(address node) {
        if (_nodes[node].operator != msg.sender) revert NotOperator(node, msg.sender);
        _;
    }

    constructor(Roles roles_, IERC20 token_) RoleGuarded(roles_) EIP712("Cortensor", "1") {
        token = token_;
    }

    // ---------------------------------------------------------------- a node's life

    /// @notice Registers the sender as a node with itself as the operator.
    function register() external {
        _register(msg.sender, msg.sender);
    }

    /// @notice Registers a node by its signature, which anyone may send, so the node needs no gas. An operator may have
    ///         many nodes.
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

    /// @notice Takes a node out of service. An oracle can bring it back.
    function retire(address node) external onlyOperator(node) {
        _setState(node, NodeState.Registered);
    }

    /// @notice Reserves a node for the session whose list it is on (Session.addDedicatedNode), or shares it again.
    function setDedicated(address node, bool dedicated) external onlyOperator(node) {
        (NodeState from, NodeState to) = dedicated
            ? (NodeState.Ephemeral, NodeState.Dedicated)
            : (NodeState.Dedicated, NodeState.Ephemeral);
        if (_nodes[node].state != from) revert StateNotAllowed(_nodes[node].state);
        _setState(node, to);
    }

    /// @notice Sets the models that a node serves. A node without a list is taken to serve any model.
    function setModels(address node, uint256[] calldata modelIdentifiers) external onlyOperator(node) {
        if (modelIdentifiers.length > MAX_MODELS) revert TooManyModels(modelIdentifiers.length, MAX_MODELS);
        _models[node] = modelIdentifiers;
        emit NodeModelsSet(node, modelIdentifiers);
    }

    /// @notice Changes nodes' reputations after a task shows whether they were late. A node's data never makes it
    ///         revert, since a settlement must not depend on it.
    /// @param successes bit i is set if the i-th node succeeded
    function recordOutcomes(address[] calldata nodes, uint256 successes) external onlyModule {
        uint256[] memory changes = new uint256[](nodes.length);
        for (uint256 i; i < nodes.length; ++i) {
            int256 reputation = _record(nodes[i], (successes >> i) & 1 == 1);
            changes[i] = (uint256(uint160(nodes[i])) << 96) | uint96(int96(reputation));
        }
        if (changes.length != 0) emit NodeReputationsChanged(changes);
    }

    /// @notice Changes nodes' reputations after a verdict. A node whose result is worth anything has succeeded. No
    ///         event is emitted: the verdict's event (SessionQueue's TaskVerdict) contains the reputations.
    /// @return recorded the marks with the nodes' new reputations
    function recordMarks(Mark[] calldata marks) external onlyModule returns (Mark[] memory recorded) {
        recorded = new Mark[](marks.length);
        for (uint256 i; i < marks.length; ++i) {
            Mark mark = marks[i];
            recorded[i] = mark.withReputation(_record(mark.node(), mark.isGood()));
        }
    }

    // ---------------------------------------------------------------- stake

    /// @notice Sets the least stake for users' tasks, in wei. It applies to later assignments.
    function setMinimumStake(uint256 amount) external onlyRole(RoleIds.ADMIN) {
        minimumStake = amount;
        emit MinimumStakeSet(amount);
    }

    /// @notice Adds the sender's tokens to a node's stake. Only the node's operator can withdraw them.
    function stake(address node, uint256 amount) external nonReentrant {
        if (_nodes[node].state == NodeState.Unknown) revert NotRegistered(node);
        // Count the tokens that arrived, since a token may deduct a fee.
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received == 0) revert ZeroAmount();
        _stakes[node].staked += received.toUint104();
        totalStaked += received;
        emit Staked(node, msg.sender, received);
    }

    /// @notice Starts to unbond stake. It can be withdrawn after UNBONDING_PERIOD, and can be slashed until then. The
    ///         period restarts for all unbonding tokens of the node.
    function unbond(address node, uint256 amount) external onlyOperator(node) {
        Stake storage held = _stakes[node];
        if (amount == 0) revert ZeroAmount();
        if (amount > held.staked) revert InsufficientStake(node, amount, held.staked);
        held.staked -= uint104(amount);
        held.unbonding += uint104(amount);
        held.releaseAt = uint40(block.timestamp + UNBONDING_PERIOD);
        totalStaked -= amount;
        totalUnbonding += amount;
        emit Unbonding(node, amount, held.releaseAt);
    }

    /// @notice Pays out the unbonded stake. This cannot be paused.
    function withdrawStake(address node) external nonReentrant onlyOperator(node) {
        Stake storage held = _stakes[node];
        uint256 amount = held.unbonding;
        if (amount == 0) revert ZeroAmount();
        if (block.timestamp < held.releaseAt) revert StillBonded(node, held.releaseAt);
        held.unbonding = 0;
        totalUnbonding -= amount;
        emit StakeWithdrawn(node, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @notice Takes SLASH_BPS of a node's staked and unbonding tokens. A node's data never makes it revert.
    function slash(address node) external onlyModule {
        Stake storage held = _stakes[node];
        uint256 fromStaked = held.staked * SLASH_BPS / BPS;
        uint256 fromUnbonding = held.unbonding * SLASH_BPS / BPS;
        uint256 amount = fromStaked + fromUnbonding;
        if (amount == 0) return;
        held.staked -= uint104(fromStaked);
        held.unbonding -= uint104(fromUnbonding);
        totalStaked -= fromStaked;
        totalUnbonding -= fromUnbonding;
        slashed += amount;
        emit Slashed(node, amount);
    }

    /// @notice Sends the slashed tokens to an address that the administrator chooses, for example the reward pool.
    function collectSlashed(address to) external nonReentrant onlyRole(RoleIds.ADMIN) {
        uint256 amount = slashed;
        if (amount == 0) revert ZeroAmount();
        slashed = 0;
        emit SlashedCollected(to, amount);
        token.safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- views

    /// @notice Whether a node may be assigned to users' tasks.
    function isEligible(address node) public view returns (bool) {
        return _isEligible(node, _nodes[node].state, minimumStake);
    }

    /// @notice Whether a node serves a model. A node without a list of models serves any.
    function serves(address node, uint256 modelIdentifier) public view returns (bool) {
        uint256[] storage models = _models[node];
        uint256 count = models.length;
        for (uint256 i; i < count; ++i) {
            if (models[i] == modelIdentifier) return true;
        }
        return count == 0;
    }

    /// @notice The nodes' numbers, counted from 1; 0 for a node that may not be assigned to a task of this model.
    function usableNumbers(address[] calldata nodes, uint256 modelIdentifier)
        external
        view
        returns (uint256[] memory indexes)
    {
        indexes = new uint256[](nodes.length);
        uint256 minimum = minimumStake;
        for (uint256 i; i < nodes.length; ++i) {
            address node = nodes[i];
            Node storage stored = _nodes[node];
            if (_isEligible(node, stored.state, minimum) && serves(node, modelIdentifier)) indexes[i] = stored.index;
        }
    }

    /// @notice The `attempt`-th node that a seed draws. It may be ineligible. The zero address if there are no nodes.
    function drawn(bytes32 seed, uint256 attempt) external view returns (address) {
        uint256 count = _nodeList.length;
        return count == 0 ? address(0) : _nodeList[uint256(keccak256(abi.encode(seed, attempt))) % count];
    }

    function reputationOf(address node) external view returns (int256) {
        return _nodes[node].reputation;
    }

    /// @return staked the stake that counts for the minimum
    /// @return unbonding the tokens that wait to be withdrawn
    /// @return releaseAt the time from which they can be withdrawn, in seconds since 1970
    function stakeOf(address node) external view returns (uint256 staked, uint256 unbonding, uint256 releaseAt) {
        Stake storage held = _stakes[node];
        return (held.staked, held.unbonding, held.releaseAt);
    }

    function modelsOf(address node) external view returns (uint256[] memory) {
        return _models[node];
    }

    function getNodesOf(address operator) external view returns (address[] memory) {
        return _nodesOf[operator];
    }

    function getNodeCount() external view returns (uint256) {
        return _nodeList.length;
    }

    /// @notice A page of the register in order of registration. The last page may be shorter; later pages are empty.
    function getNodes(uint256 offset, uint256 amount) external view returns (NodeView[] memory page) {
        uint256 count = _nodeList.length;
        if (offset >= count) return page;
        uint256 size = amount < count - offset ? amount : count - offset;
        page = new NodeView[](size);
        for (uint256 i; i < size; ++i) {
            page[i] = getNode(_nodeList[offset + i]);
        }
    }

    /// @notice One node. Its state is Unknown if it never registered.
    function getNode(address node) public view returns (NodeView memory) {
        Node storage stored = _nodes[node];
        return NodeView(node, stored.operator, stored.state, stored.reputation, stored.registeredAt);
    }

    // ---------------------------------------------------------------- inside

    /// @return reputation the node's new reputation
    function _record(address node, bool success) private returns (int256 reputation) {
        Node storage stored = _nodes[node];
        reputation = stored.reputation;
        // No overflow: the bounds are far inside int16.
        unchecked {
            reputation = success ? reputation + REPUTATION_GAIN : reputation - REPUTATION_LOSS;
            if (reputation > REPUTATION_CAP) reputation = REPUTATION_CAP;
            if (reputation < REPUTATION_FLOOR) reputation = REPUTATION_FLOOR;
            stored.reputation = int16(reputation);
        }
    }

    function _isEligible(address node, NodeState state, uint256 minimum) private view returns (bool) {
        if (state != NodeState.Ephemeral && state != NodeState.Dedicated) return false;
        return minimum == 0 || _stakes[node].staked >= minimum;
    }

    function _register(address node, address operator) private {
        if (operator == address(0)) revert ZeroOperator();
        Node storage stored = _nodes[node];
        if (stored.state != NodeState.Unknown) revert AlreadyRegistered(node);
        _nodeList.push(node);
        _nodesOf[operator].push(node);
        stored.operator = operator;
        stored.state = NodeState.Registered;
        stored.index = uint32(_nodeList.length);
        stored.registeredAt = uint40(block.timestamp);
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
