// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkPhases} from "./NetworkPhases.sol";
import {NetworkState} from "./NetworkTypes.sol";
import {NodePool} from "../node/NodePool.sol";
import {NodeReputation} from "../node/NodeReputation.sol";
import {NodeRoll} from "../node/NodeRoll.sol";
import {NodeStage, Outcome, bitOf} from "../node/NodeOutcomes.sol";
import {NodeStats} from "../node/NodeStats.sol";

/// @title The beginning of a round: the request, the draw of its creators, and the session that a creator opens.
/// @notice All draws of a round (creators, preparers, completers, the prompt) use one seed, and choose from the nodes
///         that were present when the roll was frozen. The previous round makes the seed: from its own seed, the salts
///         that its completers reveal, and the hash of the block in which its precommit phase ended. The roll is
///         frozen in that block. The salts are fixed before the block's hash is known, and no reveal is accepted in
///         that block, so its proposer does not know the salts. Nobody can choose the seed, unless the proposer and
///         all revealing completers are one party. A completer can choose between two seeds, which is one bit, by not
///         revealing. It then loses points and its reward. If the previous round had no reveals, or is longer ago than
///         PRESENCE, the roll is frozen at the request, and the seed is made from the hash of the next block. The
///         proposer of that block can influence the seed. The round after it has a better seed again.
abstract contract NetworkRequests is NetworkPhases, NodeRoll {
    uint256 public constant CREATE_WINDOW = 60;
    uint256 public constant MAX_DOMAIN_BYTES = 128;

    NodeStats public immutable stats;
    NodeReputation public immutable reputation;

    /// @dev The next round's seed; 0 if there is none yet.
    uint256 internal _nextSeed;

    event NewSessionRequest(uint256 indexed id, address[] addrs);
    event NewSessionRequestAssigned(uint256 indexed id, address addr);
    event SessionCreated(uint256 indexed id, address indexed addr);
    /// @dev Once block `drawBlock` has a hash, `requestNextCreator` makes the draw.
    event DrawArmed(uint256 indexed requestId, uint256 drawBlock);
    event RequestAbandoned(uint256 indexed requestId);

    error NoOpenRequest(uint256 latestRequest);
    error NotAsked(address node, address expected);
    error RoundOpen(uint256 requestId);
    /// @dev Both values are in seconds, or block numbers if a block's hash is awaited.
    error TooEarly(uint256 time, uint256 deadline);
    error TooLate(uint256 time, uint256 deadline);

    constructor(NodePool pool_, NodeStats stats_, NodeReputation reputation_) NodeRoll(pool_) {
        stats = stats_;
        reputation = reputation_;
    }

    // ---------------------------------------------------------------- request and create

    function _request(address requester) internal {
        if (requestCounter != 0 && !_requests[requestCounter].closed) revert RoundOpen(requestCounter);
        uint256 requestId = ++requestCounter;
        CreationRequest storage r = _requests[requestId];
        r.requester = requester;
        uint256 seed = _nextSeed;
        _nextSeed = 0;
        if (seed != 0 && block.timestamp <= _frozenAt + PRESENCE) {
            _drawCreators(requestId, r, seed);
        } else {
            emit NewSessionRequest(requestId, new address[](0));
            // Keep the old seed as an input of the new one.
            r.seed = seed;
            _arm(requestId, r);
        }
    }

    /// @dev Gives the turn to the first creator once the block of the seed has a hash, and later, after the deadline
    ///      of each creator, to the next one.
    function _nextCreator() internal {
        uint256 requestId = requestCounter;
        if (!_isRequestOpen()) revert NoOpenRequest(requestId);
        CreationRequest storage r = _requests[requestId];
        if (r.drawBlock != 0) {
            if (block.number <= r.drawBlock) revert TooEarly(block.number, r.drawBlock);
            bytes32 blockHash = blockhash(r.drawBlock);
            // Nobody called for 256 blocks, so the hash is no longer available: wait for another block.
            if (blockHash == 0) return _arm(requestId, r);
            r.drawBlock = 0;
            return _drawCreators(requestId, r, uint256(keccak256(abi.encode(r.seed, requestId, blockHash))));
        }
        _requireAfter(r.deadline);
        Outcome[] memory outcomes = new Outcome[](1);
        outcomes[0] = Outcome(r.creators[r.asked], 0, bitOf(NodeStage.Create), 0);
        ++r.asked;
        _askCreator(requestId, r);
        _record(outcomes);
    }

    function _arm(uint256 requestId, CreationRequest storage r) private {
        _freeze();
        r.drawBlock = uint64(block.number + 1);
        emit DrawArmed(requestId, r.drawBlock);
    }

    function _drawCreators(uint256 requestId, CreationRequest storage r, uint256 seed) private {
        r.seed = seed;
        r.creators = _draw(seed, "creators", CREATORS, 0);
        emit NewSessionRequest(requestId, r.creators);
        _askCreator(requestId, r);
    }

    function _askCreator(uint256 requestId, CreationRequest storage r) private {
        if (r.asked == r.creators.length) {
            r.closed = true;
            _unfreeze();
            emit RequestAbandoned(requestId);
            return;
        }
        r.deadline = uint40(block.timestamp + CREATE_WINDOW);
        emit NewSessionRequestAssigned(requestId, r.creators[r.asked]);
    }

    function _open(address creator, string calldata domain, string calldata subdomain) internal returns (uint256 id) {
        if (!_isRequestOpen()) revert NoOpenRequest(requestCounter);
        CreationRequest storage r = _requests[requestCounter];
        address expected = r.drawBlock != 0 ? address(0) : r.creators[r.asked];
        if (creator != expected) revert NotAsked(creator, expected);
        _requireNotAfter(r.deadline);
        _requireText(domain, MAX_DOMAIN_BYTES);
        _requireText(subdomain, MAX_DOMAIN_BYTES);

        id = ++sessionCounter;
        r.sessionId = id;
        NetworkSession storage s = _session(id);
        (s.seed, s.creator, s.state) = (r.seed, creator, NetworkState.Create);
        (s.domain, s.subdomain, s.createdAt) = (domain, subdomain, uint40(block.timestamp));
        s.preparers = _draw(s.seed, "preparers", 2 * PREPARERS, 0);
        emit SessionCreated(id, creator);
    }

    function _record(Outcome[] memory outcomes) internal {
        stats.record(outcomes);
        reputation.record(outcomes);
    }

    // ---------------------------------------------------------------- checks

    function _requireNotAfter(uint256 deadline) internal view {
        if (block.timestamp > deadline) revert TooLate(block.timestamp, deadline);
    }

    function _requireAfter(uint256 deadline) internal view {
        if (block.timestamp <= deadline) revert TooEarly(block.timestamp, deadline);
    }
}
