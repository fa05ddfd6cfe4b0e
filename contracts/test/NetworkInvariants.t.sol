// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkFlow} from "../src/network/NetworkFlow.sol";
import {Credit} from "../src/money/NetworkRewards.sol";
import {NetworkPhaseView, NetworkSessionView, NetworkState} from "../src/network/NetworkTypes.sol";
import {Outcome} from "../src/node/NodeOutcomes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

/// @dev Twelve nodes, a requester, an oracle, a validator, a donor, an administrator and a thief do whatever they
///      like, in any order. Nodes 0 to 8 are honest, 9 copies others' hashes, 10 precommits and is silent, 11 is
///      late with everything.
contract IdleActors is IdleNetwork {
    uint256 private constant NODES = 12;
    uint256 private constant COPYCAT = 9;
    uint256 private constant SILENT = 10;
    uint256 private constant LATE = 11;

    address private thief = address(0x7e1f);

    /// @dev The phase and state that each session was last seen in, and what every node was paid for an epoch.
    mapping(uint256 id => uint256) private lastPhase;
    mapping(uint256 id => uint256) private lastState;
    mapping(uint256 epoch => mapping(address node => uint256)) private paid;
    mapping(uint256 epoch => uint256) private paidIn;
    mapping(address node => uint256) private earned;
    uint256 private firstEpoch;
    /// @dev Addresses are worked out once: it takes long.
    address[] private members;
    uint256 public judged;
    uint256 public phasesOpened;

    constructor() {
        deployIdleNetwork();
        for (uint256 i = 5; i < NODES; ++i) {
            enrol(miner(i));
        }
        for (uint256 i; i < NODES; ++i) {
            members.push(miner(i));
        }
        firstEpoch = rewards.currentEpoch();
        nextEpoch();
        pingAll(NODES);
    }

    modifier watched() {
        _;
        watch();
    }

    // ---------------------------------------------------------------- honest play

    /// @dev Up to eight steps that the round needs next, each by whoever has to do it: so that rounds come to an
    ///      end, too.
    function goOn(uint256 seed) external {
        for (uint256 i; i <= seed % 8; ++i) {
            step(uint256(keccak256(abi.encode(seed, i))));
        }
    }

    function step(uint256 seed) public watched {
        uint256 id = cognitive.sessionCounter();
        if (id == 0 || network.getSessionState(id) == uint256(NetworkState.End)) return openRound(seed);
        uint256 state = network.getSessionState(id);
        if (time > network.getSessionDeadline(id)) return cognitive.end(id, true);
        if (state == uint256(NetworkState.Create)) prepareHonestly(id);
        else if (state == uint256(NetworkState.Prepare)) startSession(id);
        else if (state == uint256(NetworkState.Start)) answer(id, seed);
        else if (state == uint256(NetworkState.Precommit)) reveal(id, seed);
        else judgeSome(id, seed);
    }

    function passTime(uint256 seconds_) external watched {
        tick(bound(seconds_, 1, 100));
    }

    /// @dev Mostly short, or no round would end.
    function sleep(uint256 hours_) external watched {
        tick(hours_ % 3 == 0 ? bound(hours_, 1, 30) * 1 hours : 1);
    }

    function pingSome(uint256 which) external watched {
        for (uint256 i; i < 4; ++i) {
            vm.prank(member((which % NODES + i) % NODES));
            try cognitive.ping() {} catch {}
        }
    }

    function pruneAll() external watched {
        try cognitive.prune(cognitive.getRoll(0, NODES)) {} catch {}
    }

    // ---------------------------------------------------------------- money

    function donate(uint256 amount) external watched {
        fundRewards(bound(amount, 1, 1e21));
    }

    function plan(uint256 budget) external watched {
        vm.prank(admin);
        rewards.setEpochBudget(bound(budget, 0, 1e22));
    }

    function claim(uint256 which, uint256 back) external watched {
        claimAs(member(which % NODES), rewards.currentEpoch() - bound(back, 0, 3), relayer);
    }

    // ---------------------------------------------------------------- foul play

    function copy(uint256 which) external watched {
        uint256 id = cognitive.sessionCounter();
        if (id == 0) return;
        bytes32[] memory hashes = network.get(id).completionHashes;
        if (hashes.length == 0) return;
        vm.prank(member(COPYCAT));
        try cognitive.precommit(id, hashes[which % hashes.length], "", 0) {} catch {}
    }

    function copyAnswer(uint256 which) external watched {
        uint256 id = cognitive.sessionCounter();
        if (id == 0) return;
        address victim = member(which % COPYCAT);
        bool revealedBefore = network.alreadyCommitted(id, member(COPYCAT));
        vm.prank(member(COPYCAT));
        try cognitive.commit(id, completionOf(victim), "", saltOf(victim)) {} catch {}
        assertTrue(revealedBefore == network.alreadyCommitted(id, member(COPYCAT)), "a copy was revealed");
    }

    function steal(uint256 seed, uint256 which) external watched {
        uint256 id = cognitive.sessionCounter();
        address victim = member(which % NODES);
        vm.startPrank(thief);
        uint256 act = seed % 9;
        if (act == 0) try cognitive.create("mine", "mine") {} catch {}
        if (act == 1) try cognitive.prepare(id, prompts(1), "", 0) {} catch {}
        if (act == 2) try cognitive.precommit(id, bytes32(seed), "", 0) {} catch {}
        if (act == 3) try cognitive.commit(id, completionOf(victim), "", saltOf(victim)) {} catch {}
        if (act == 4) try cognitive.judge(id, new uint256[](5), "") {} catch {}
        if (act == 5) try rewards.credit(theft()) {} catch {}
        if (act == 6) try stats.record(new Outcome[](1)) {} catch {}
        if (act == 7) try cognitive.ping() {} catch {}
        if (act == 8) try cognitive.selectRandomMiners(5, 0) {} catch {}
        vm.stopPrank();
        claimAs(victim, rewards.currentEpoch() - 1, thief);
        claimAs(thief, rewards.currentEpoch() - 1, thief);
    }

    function force(uint256 seed) external watched {
        uint256 id = cognitive.sessionCounter();
        vm.startPrank(seed % 2 == 0 ? oracle : thief);
        uint256 act = seed % 7;
        if (act == 0) try cognitive.requestNextCreator() {} catch {}
        if (act == 1) try cognitive.requestNextPreparer() {} catch {}
        if (act == 2) try cognitive.endPrecommit(id) {} catch {}
        if (act == 3) try cognitive.end(id, true) {} catch {}
        if (act == 4) try cognitive.end(id, false) {} catch {}
        if (act == 5) try cognitive.resetState(id) {} catch {}
        if (act == 6) try cognitive.start(id) {} catch {}
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- what must hold

    function checkMoney() external view {
        uint256 held = rewards.totalPool() + rewards.totalOwed();
        assertEq(token.balanceOf(address(rewards)), held, "tokens = pool + owed");
        assertEq(rewards.totalFunded(), held + rewards.totalPaid(), "funded = pool + owed + paid");
        uint256 setAside;
        for (uint256 epoch = firstEpoch; epoch <= rewards.currentEpoch(); ++epoch) {
            (, uint256 budget, uint256 heldIn,) = rewards.getEpoch(epoch);
            setAside += heldIn;
            assertTrue(paidIn[epoch] <= budget, "an epoch pays no more than its budget");
        }
        assertEq(setAside, rewards.totalOwed(), "sum of what epochs hold");
        assertEq(token.balanceOf(thief), 0, "the thief has nothing");
        assertEq(rewards.pointsOf(rewards.currentEpoch(), thief), 0, "and no points");
        for (uint256 i; i < NODES; ++i) {
            assertEq(token.balanceOf(member(i)), earned[member(i)], "a node has what it was paid");
        }
    }

    function checkCounters() external view {
        assertTrue(cognitive.rollLength() <= NODES, "only nodes are on the roll");
        uint256 id = cognitive.sessionCounter();
        assertTrue(id <= cognitive.requestCounter(), "a session for a request");
        if (id == 0) return;
        NetworkSessionView memory s = network.get(id);
        for (uint256 i; i < s.miners.length; ++i) {
            bool bare = bytes(s.completions[i]).length != 0 && s.completionHashes[i] == 0;
            assertTrue(!bare, "no commit without a precommit");
        }
        assertTrue(s.challenges.length <= s.maxPrompts && s.miners.length <= 5, "lists are bounded");
    }

    /// @dev Whoever has points for an epoch that is over takes its share out; then no epoch that is over and in
    ///      which there were points holds anything.
    function settle() external {
        nextEpoch();
        for (uint256 epoch = firstEpoch; epoch < rewards.currentEpoch(); ++epoch) {
            (,,, uint256 points) = rewards.getEpoch(epoch);
            for (uint256 i; i < NODES; ++i) {
                if (rewards.pointsOf(epoch, member(i)) == 0) continue;
                assertTrue(claimAs(member(i), epoch, member(i)), "who is owed can take it out");
            }
            (,, uint256 held,) = rewards.getEpoch(epoch);
            if (points != 0) assertEq(held, 0, "nothing is left behind");
        }
    }

    // ---------------------------------------------------------------- inside

    function member(uint256 i) private view returns (address) {
        return members[i];
    }

    function openRound(uint256 seed) private {
        if (!network.isRequestState()) {
            vm.prank(relayer);
            return cognitive.request();
        }
        if (network.getRequest(cognitive.requestCounter()).drawBlock != 0) {
            tick(1);
            tick(1);
            return cognitive.requestNextCreator();
        }
        if (time > network.getRequest(cognitive.requestCounter()).deadline) return cognitive.requestNextCreator();
        if (creator() == member(LATE)) return tick(61);
        vm.prank(creator());
        if (seed % 3 == 0) cognitive.create("science", "optics");
        else cognitive.createPhased("science", "optics", planOf(1 + seed % 3, 1 + seed / 3 % 4, 60), "");
    }

    function prepareHonestly(uint256 id) private {
        if (preparer(id) == member(LATE)) return tick(91);
        prepareNext(id);
    }

    /// @dev Who was there for the creator's draw may be gone when a later phase draws: then the task will end.
    function startSession(uint256 id) private {
        (uint256 phase,) = network.getPhases(id);
        vm.prank(oracle);
        try cognitive.start(id) {}
        catch (bytes memory reason) {
            assertTrue(phase != 0 && bytes4(reason) == NetworkFlow.NobodyThere.selector, "somebody is there");
            tick(61);
        }
    }

    function answer(uint256 id, uint256 seed) private {
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < drawn.length; ++i) {
            address node = drawn[(seed % drawn.length + i) % drawn.length];
            if (node == member(LATE) || node == member(COPYCAT)) continue;
            if (!network.alreadyPrecommitted(id, node)) return precommitAs(id, node);
        }
        tick(WINDOW); // all that will have
    }

    function reveal(uint256 id, uint256 seed) private {
        tick(1);
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < drawn.length; ++i) {
            address node = drawn[(seed % drawn.length + i) % drawn.length];
            if (node == member(SILENT) || node == member(COPYCAT) || network.alreadyCommitted(id, node)) continue;
            if (!network.alreadyPrecommitted(id, node) || time > network.getSessionDeadline(id)) continue;
            return commitAs(id, node);
        }
        tick(WINDOW);
    }

    /// @dev A quarter of the answers is wrong. A phase's points are its completers' accuracies and, with the first
    ///      one, what the creator and the preparers get: no more, whatever was judged before.
    function judgeSome(uint256 id, uint256 seed) private {
        uint256[] memory accuracies = accuraciesFor(id, 1);
        uint256 expected;
        for (uint256 i; i < accuracies.length; ++i) {
            uint256 value = uint256(keccak256(abi.encode(seed, i)));
            accuracies[i] *= value % 4 == 0 ? 0 : value % 10_001;
            expected += accuracies[i];
        }
        (uint256 phase,) = network.getPhases(id);
        if (phase == 0 && expected != 0) {
            // Two preparers deliver, or one where all the others were late.
            expected += cognitive.CREATE_CREDIT();
            expected += (network.get(id).challenges.length / 2) * cognitive.PREPARE_CREDIT();
        }
        (,,, uint256 before) = rewards.getEpoch(rewards.currentEpoch());
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
        (,,, uint256 points) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(points - before, expected, "a phase is paid once");
        ++judged;
    }

    function claimAs(address node, uint256 epoch, address caller) private returns (bool done) {
        uint256[] memory epochs = new uint256[](1);
        epochs[0] = epoch;
        uint256 before = token.balanceOf(node);
        vm.prank(caller);
        try rewards.claimFor(node, epochs) {
            done = true;
        } catch {}
        uint256 amount = token.balanceOf(node) - before;
        if (amount == 0) return done;
        assertEq(paid[epoch][node], 0, "paid twice");
        paid[epoch][node] = amount;
        paidIn[epoch] += amount;
        earned[node] += amount;
    }

    function theft() private view returns (Credit[] memory credits) {
        credits = new Credit[](1);
        credits[0] = Credit(thief, 1e6);
    }

    /// @dev A session's state moves along the table only: on by one step, or to its end, and never from there; or
    ///      from a verdict with enough accepted results to the next phase's start.
    function watch() private {
        uint256 id = cognitive.sessionCounter();
        if (id == 0) return;
        uint256 state = network.getSessionState(id);
        (uint256 phase, uint256 last) = network.getPhases(id);
        uint256 before = lastState[id] == 0 ? uint256(NetworkState.Create) : lastState[id];
        if (phase == lastPhase[id]) {
            bool onward = state == before || state == before + 1 || state == uint256(NetworkState.End);
            assertTrue(onward, "along the table");
        } else {
            assertEq(phase, lastPhase[id] + 1, "one phase after the other");
            assertTrue(phase <= last, "as planned");
            assertEq(before, uint256(NetworkState.Commit), "from its verdict");
            assertEq(state, uint256(NetworkState.Prepare), "to the next one's start");
            assertTrue(acceptedIn(id, phase - 1) >= network.getPhase(id, phase).quorum, "with its quorum");
            ++phasesOpened;
        }
        assertTrue(before != uint256(NetworkState.End) || state == before, "an end is an end");
        (lastPhase[id], lastState[id]) = (phase, state);
        if (id > 1) assertEq(network.getSessionState(id - 1), uint256(NetworkState.End), "one at a time");
    }

    function acceptedIn(uint256 id, uint256 phase) private view returns (uint256 accepted) {
        NetworkPhaseView memory seen = network.getPhase(id, phase);
        for (uint256 i; i < seen.accuraciesBps.length; ++i) {
            if (seen.accuraciesBps[i] == 0) continue;
            assertTrue(bytes(seen.completions[i]).length != 0, "what is accepted was revealed");
            ++accepted;
        }
    }
}

contract NetworkInvariantsTest {
    IdleActors private actors;

    function setUp() public {
        actors = new IdleActors();
    }

    /// @dev Forge's names for the contracts, and the functions of them, that it may call.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = actors.settle.selector;
        excluded = new FuzzSelector[](1);
        excluded[0] = FuzzSelector(address(actors), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function invariant_every_wei_of_the_pool_is_in_exactly_one_place() public view {
        actors.checkMoney();
        actors.checkCounters();
    }

    function afterInvariant() public {
        actors.settle();
        actors.checkMoney();
    }

    function test_the_actors_bring_rounds_to_an_end() public {
        for (uint256 i; i < 300; ++i) {
            actors.step(uint256(keccak256(abi.encode(i))));
            if (i % 4 == 0) actors.pingSome(i);
        }
        if (actors.judged() < 3) revert("too few rounds end");
        if (actors.phasesOpened() == 0) revert("no phase follows another");
        actors.settle();
        actors.checkMoney();
    }
}
