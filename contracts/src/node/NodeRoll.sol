// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodePool, NodeState} from "./NodePool.sol";

/// @title The roll of nodes that are present, and draws from it.
/// @notice A registered node enters the roll with a ping, and stays present while it pings again within PRESENCE.
///         A draw is among the nodes that were present before the roll was frozen, at a time when nobody could know the
///         draw's seed. Nodes that arrive, leave or ping again later do not change the draw.
/// @dev The roll may have any length: no function iterates over all of it. While it is frozen, it only grows at its
///      end. While it is not, `prune` removes absent nodes.
abstract contract NodeRoll {
    /// @dev One word, 152 bits.
    /// @param pingedAt the time of the latest ping, in seconds since 1970
    /// @param since the time of the ping from which on the node has been present without interruption
    /// @param drawnAt the time when the node was last drawn to answer
    /// @param place the node's place on the roll, counted from 1; 0 if it is not on the roll
    struct Presence {
        uint40 pingedAt;
        uint40 since;
        uint40 drawnAt;
        uint32 place;
    }

    /// @notice The seconds for which a node counts as present after a ping.
    uint256 public constant PRESENCE = 15 minutes;
    /// @notice The seconds that must pass between two pings of a node.
    uint256 public constant PING_INTERVAL = 60;
    /// @notice The seconds within which a signed ping has to be relayed.
    uint256 public constant PING_LIFETIME = 120;
    uint256 public constant MAX_COOLDOWN = 1 days;
    /// @dev The most places that a draw examines. If one node in ten is present and five are to be drawn, about one
    ///      draw in two hundred finds fewer than five.
    uint256 private constant MAX_PROBES = 128;

    NodePool public immutable pool;

    /// @notice The seconds for which a node that was drawn to answer is not drawn again. A change takes effect at the
    ///         next freeze.
    uint256 public minerCooldownPeriod;

    address[] private _roll;
    mapping(address node => Presence) private _presence;

    /// @dev The state at the last freeze: the roll's length, the time, and the cooldown.
    uint32 internal _frozenLength;
    uint40 internal _frozenAt;
    uint32 private _frozenCooldown;
    bool internal _frozen;

    event NodePinged(address indexed node);
    event NodePruned(address indexed node);
    event MinerCooldownSet(uint256 cooldownSeconds);

    error CooldownTooLong(uint256 given, uint256 most);
    error NodeUnknown(address node);
    error PingTooSoon(uint256 time, uint256 next);
    error RollFrozen();

    constructor(NodePool pool_) {
        pool = pool_;
    }

    /// @notice Removes those of the nodes from the roll that have not pinged within PRESENCE. Ignores the others.
    function prune(address[] calldata nodes) external {
        if (_frozen) revert RollFrozen();
        for (uint256 i; i < nodes.length; ++i) {
            _prune(nodes[i]);
        }
    }

    function presenceOf(address node) external view returns (Presence memory) {
        return _presence[node];
    }

    /// @notice The number of nodes on the roll, including absent ones that were not pruned yet.
    function rollLength() external view returns (uint256) {
        return _roll.length;
    }

    /// @notice A page of the roll. The last page may be shorter; later pages are empty.
    function getRoll(uint256 offset, uint256 amount) external view returns (address[] memory page) {
        uint256 count = _roll.length;
        if (offset >= count) return page;
        uint256 size = amount < count - offset ? amount : count - offset;
        page = new address[](size);
        for (uint256 i; i < size; ++i) {
            page[i] = _roll[offset + i];
        }
    }

    function _setCooldown(uint256 cooldownSeconds) internal {
        if (cooldownSeconds > MAX_COOLDOWN) revert CooldownTooLong(cooldownSeconds, MAX_COOLDOWN);
        minerCooldownPeriod = cooldownSeconds;
        emit MinerCooldownSet(cooldownSeconds);
    }

    function _ping(address node) internal {
        if (pool.getNode(node).state == NodeState.Unknown) revert NodeUnknown(node);
        Presence storage presence = _presence[node];
        uint256 next = uint256(presence.pingedAt) + PING_INTERVAL;
        if (presence.pingedAt != 0 && block.timestamp < next) revert PingTooSoon(block.timestamp, next);
        if (presence.place == 0) {
            _roll.push(node);
            presence.place = uint32(_roll.length);
            presence.since = uint40(block.timestamp);
        } else if (!_isThere(presence)) {
            // A node that was present at the freeze stays in the draw. Otherwise, it could leave once it knows the
            // seed.
            if (!_frozen || !_wasThere(presence)) presence.since = uint40(block.timestamp);
        }
        presence.pingedAt = uint40(block.timestamp);
        emit NodePinged(node);
    }

    /// @dev A signed ping is accepted once: it must be later than the node's latest ping.
    function _requireNewPing(address node, uint256 time) internal view {
        uint256 latest = _presence[node].pingedAt;
        if (time <= latest) revert PingTooSoon(time, latest + 1);
    }

    /// @dev Fixes the set of nodes for the next draws.
    function _freeze() internal {
        _frozen = true;
        _frozenLength = uint32(_roll.length);
        _frozenAt = uint40(block.timestamp);
        _frozenCooldown = uint32(minerCooldownPeriod);
    }

    function _unfreeze() internal {
        _frozen = false;
    }

    function _markDrawn(address[] memory nodes) internal {
        for (uint256 i; i < nodes.length; ++i) {
            _presence[nodes[i]].drawnAt = uint40(block.timestamp);
        }
    }

    function _isOnRoll(address node) internal view returns (bool) {
        return _presence[node].place != 0;
    }

    /// @notice Draws distinct nodes from the frozen roll. Each place is equally likely.
    /// @param purpose distinguishes draws with the same seed
    /// @param most the number of nodes to draw; fewer are returned if too few are found within MAX_PROBES
    function _draw(uint256 seed, bytes32 purpose, uint256 most, uint256 cooldown)
        internal
        view
        returns (address[] memory drawn)
    {
        // The roll is shorter than at the freeze only if it was pruned since. Then no round depends on it.
        uint256 length = _frozenLength < _roll.length ? _frozenLength : _roll.length;
        drawn = new address[](most);
        uint256 count;
        for (uint256 probe; probe < MAX_PROBES && count < most && length != 0; ++probe) {
            address node = _roll[uint256(keccak256(abi.encode(seed, purpose, probe))) % length];
            if (_contains(drawn, count, node) || !_isDrawable(node, cooldown)) continue;
            drawn[count++] = node;
        }
        assembly ("memory-safe") {
            mstore(drawn, count) // the list only becomes shorter
        }
    }

    function _cooldown() internal view returns (uint256) {
        return _frozenCooldown;
    }

    function _prune(address node) internal {
        Presence storage presence = _presence[node];
        uint256 place = presence.place;
        if (place == 0 || _isThere(presence)) return;
        address last = _roll[_roll.length - 1];
        _roll[place - 1] = last;
        _presence[last].place = uint32(place);
        _roll.pop();
        presence.place = 0;
        emit NodePruned(node);
    }

    function _isDrawable(address node, uint256 cooldown) private view returns (bool) {
        Presence storage presence = _presence[node];
        if (!_wasThere(presence)) return false;
        return presence.drawnAt == 0 || presence.drawnAt + cooldown <= _frozenAt;
    }

    function _isThere(Presence storage presence) private view returns (bool) {
        return presence.pingedAt + PRESENCE >= block.timestamp;
    }

    /// @dev Whether a node was present when the roll was frozen. A node that returned in that second was not: on chains
    ///      with several blocks a second, the seed may be known by then.
    function _wasThere(Presence storage presence) private view returns (bool) {
        return presence.since < _frozenAt && presence.pingedAt + PRESENCE >= _frozenAt;
    }

    function _contains(address[] memory nodes, uint256 count, address node) private pure returns (bool) {
        for (uint256 i; i < count; ++i) {
            if (nodes[i] == node) return true;
        }
        return false;
    }
}
