// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Mark, Marks} from "../src/task/Marks.sol";
import {Holding} from "../src/money/SessionPayment.sol";
import {Reveal, SignedPrecommit, TaskStatus, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev Twelve actors that do whatever is possible, in any order, while time passes: two clients, five miners
///      (the last one never reveals, the fourth copies others' hashes), an oracle, a router, a relayer, a
///      validator, a thief; and the administrator, who reprices and pauses. What is not possible at the moment
///      is left alone, or tried where the point is that it fails.
contract Actors is Network {
    uint256 private constant SESSIONS = 2;
    uint256 private constant MINERS = 5;
    uint256 private constant MAX_TASKS = 6;
    uint256 private constant SILENT = 4;
    uint256 private constant COPYIST = 3;
    uint256 private constant GIVEN = 1e6;

    address private thief = address(0x7e1f);
    address private second = address(0xc2);

    mapping(uint256 sessionId => uint256) private count;
    mapping(uint256 sessionId => mapping(uint256 taskId => uint256)) private lastStatus;
    mapping(uint256 sessionId => mapping(uint256 taskId => mapping(address => bytes32))) private promised;
    mapping(uint256 sessionId => mapping(uint256 taskId => uint256)) private verdicts;
    /// @dev By the payment rule, from what the verdicts said.
    mapping(address node => uint256) private earned;
    uint256 private deposited;
    /// @dev Of its own: the compiler takes `block.timestamp` for constant within a call.
    uint256 private clock = START;

    constructor() {
        deployNetwork();
        for (uint256 i; i < SESSIONS; ++i) {
            openSession(i + 1);
        }
        vm.prank(client);
        session.updateOwner(2, second);
        for (uint256 i; i < MINERS; ++i) {
            vm.prank(treasury);
            token.transfer(miner(i), GIVEN);
        }
    }

    /// @dev Every step of every actor is followed by a look at all tasks.
    modifier watched() {
        _;
        for (uint256 sessionId = 1; sessionId <= SESSIONS; ++sessionId) {
            for (uint256 n; n < count[sessionId]; ++n) {
                watch(sessionId, LANE + n);
            }
        }
    }

    // ---------------------------------------------------------------- clients and the administrator

    /// @dev Now and then as much as an outage takes.
    function time(uint256 seconds_) external watched {
        pass(seconds_ % 8 == 0 ? bound(seconds_, 26, STAGE_WINDOW + 1) : bound(seconds_, 1, 25));
    }

    function deposit(uint256 seed, uint256 amount) external {
        amount = bound(amount, 1, 1e6);
        fund(sessionOf(seed), amount);
        deposited += amount;
    }

    function withdraw(uint256 seed, uint256 amount) external {
        uint256 sessionId = sessionOf(seed);
        uint256 free = payment.sessionBalance(sessionId);
        if (free == 0) return;
        vm.prank(ownerOf(sessionId));
        payment.withdrawFromSession(sessionId, bound(amount, 1, free));
    }

    function submit(uint256 seed) external watched {
        uint256 sessionId = sessionOf(seed);
        if (count[sessionId] == MAX_TASKS || session.paused()) return;
        relaySubmission(submission(sessionId, LANE + count[sessionId]));
        // A poor session's task is skipped; its number is free for the next try.
        count[sessionId] = tasks.getTaskCountBySessionId(sessionId);
    }

    function reprice(uint256 inputPrice, uint256 outputPrice) external {
        vm.prank(admin);
        payment.setModelPrice(MODEL, bound(inputPrice, 0, 20), bound(outputPrice, 1, 20));
    }

    function pauseOrNot(uint256 seed) external {
        vm.startPrank(admin);
        if (session.paused()) session.unpauseIntake();
        else if (seed % 8 == 0) session.pauseIntake();
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- router, oracle, anyone

    function assignNext(uint256 seed) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Queued, TaskStatus.Queued);
        (uint256 deadline,,,) = found ? tasks.getTaskDeadlines(sessionId, taskId) : (0, 0, 0, 0);
        if (!found || clock > deadline) return;
        address[] memory chosen = new address[](sessionId);
        for (uint256 i; i < sessionId; ++i) {
            chosen[i] = miner((seed % MINERS + i) % MINERS);
        }
        assign(sessionId, taskId, chosen);
    }

    function replace(uint256 seed, bool byDraw) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Assigned, TaskStatus.Acked);
        if (!found) return;
        address late = tasks.getTask(sessionId, taskId).assignedMiners[0];
        if (byDraw) {
            vm.prank(thief); // anyone may, and gains nothing
            try tasks.replaceMinerByDraw(sessionId, taskId, late) {} catch {}
        } else {
            vm.prank(oracle);
            try tasks.replaceMiner(sessionId, taskId, late, miner(seed % MINERS)) {} catch {}
        }
    }

    function force(uint256 seed) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Queued, TaskStatus.Committed);
        if (!found) return;
        vm.startPrank(seed % 3 == 0 ? thief : oracle);
        try tasks.endPrecommit(sessionId, taskId, true) {} catch {}
        try tasks.endCommit(sessionId, taskId, true) {} catch {}
        try tasks.end(sessionId, taskId, true) {} catch {}
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- miners

    function precommitSome(uint256 seed, uint256 which, bool relayed) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Assigned, TaskStatus.Acked);
        if (!found) return;
        uint256 i = minerIn(sessionId, taskId, which);
        // The copyist takes the first miner's hash as its own.
        bytes32 hash = i == COPYIST
            ? tasks.commitHash(sessionId, taskId, miner(0), result(0))
            : tasks.commitHash(sessionId, taskId, miner(i), result(i));
        if (relayed) {
            SignedPrecommit[] memory items = new SignedPrecommit[](1);
            items[0] = signedPrecommit(sessionId, taskId, i, hash);
            vm.prank(relayer);
            queue.relayPrecommits(items);
        } else {
            vm.prank(miner(i));
            try queue.precommit(sessionId, taskId, hash, "") {} catch {}
        }
        if (tasks.getTaskResultPrecommitTimestamp(sessionId, taskId, miner(i)) != 0) {
            promised[sessionId][taskId][miner(i)] = hash;
        }
    }

    function commitSome(uint256 seed, uint256 which, bool relayed) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Assigned, TaskStatus.Committed);
        if (!found) return;
        uint256 i = minerIn(sessionId, taskId, which);
        if (i == SILENT) return;
        string memory data = i == COPYIST ? result(0) : result(i);
        if (relayed) {
            Reveal[] memory items = new Reveal[](1);
            items[0] = Reveal(sessionId, taskId, miner(i), 0);
            string[] memory texts = new string[](1);
            texts[0] = data;
            vm.prank(relayer);
            queue.relayCommits(items, texts);
        } else {
            vm.prank(miner(i));
            try queue.commit(sessionId, taskId, data) {} catch {}
        }
    }

    function stakeSome(uint256 which, uint256 amount) external {
        address node = miner(which % MINERS);
        uint256 free = token.balanceOf(node);
        if (free == 0) return;
        amount = bound(amount, 1, free);
        vm.startPrank(node);
        token.approve(address(pool), amount);
        pool.stake(node, amount);
        vm.stopPrank();
    }

    function unbondSome(uint256 which, uint256 amount) external {
        address node = miner(which % MINERS);
        (uint256 staked,,) = pool.stakeOf(node);
        if (staked == 0) return;
        vm.prank(node);
        pool.unbond(node, bound(amount, 1, staked));
    }

    function withdrawPay(uint256 which) external {
        address node = miner(which % MINERS);
        if (payment.owedTo(node) == 0) return;
        vm.prank(relayer);
        payment.withdrawNodePaymentFor(node);
    }

    // ---------------------------------------------------------------- the validator

    function judgeSome(uint256 seed, uint256 accuracyBps, uint256 tokens) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Committed, TaskStatus.Committed);
        if (!found) return;
        address[] memory revealed = revealedIn(sessionId, taskId);
        Verdict memory item = verdictOf(sessionId, taskId, revealed, bound(accuracyBps, 0, 10_000));
        item.inputTokens = bound(tokens, 0, MAX_INPUT_TOKENS);
        uint256[] memory before = new uint256[](revealed.length);
        uint256 held = tasks.reservedOf(sessionId, taskId);
        uint256 owed = payment.totalOwed();
        for (uint256 i; i < revealed.length; ++i) {
            before[i] = payment.owedTo(revealed[i]);
        }
        vm.prank(validator);
        queue.verdict(item);
        verdicts[sessionId][taskId]++;
        for (uint256 i; i < revealed.length; ++i) {
            earned[revealed[i]] += payment.owedTo(revealed[i]) - before[i];
        }
        assertTrue(payment.totalOwed() - owed <= held, "no more than was reserved");
    }

    // ---------------------------------------------------------------- the thief

    /// @dev Everything that a stranger might try; none of it may work.
    function steal(uint256 seed) external watched {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Queued, TaskStatus.Ended);
        Holding memory holding = Holding(1, LANE, 1, 1, 1, 1);
        Verdict memory item = verdictOf(sessionId, taskId, list(thief), 10_000);
        bool[9] memory worked;
        vm.startPrank(thief);
        try payment.withdrawFromSession(sessionId, 1) { worked[0] = true; } catch {}
        try payment.withdrawNodePayment() { worked[1] = true; } catch {}
        try pool.withdrawStake(miner(0)) { worked[2] = true; } catch {}
        try pool.unbond(miner(0), 1) { worked[3] = true; } catch {}
        try pool.collectSlashed(thief) { worked[4] = true; } catch {}
        try pool.slash(miner(0)) { worked[5] = true; } catch {}
        Mark[] memory marks = new Mark[](1);
        marks[0] = Marks.given(thief, 10_000, 10_000, 1);
        try payment.settle(holding, 1, marks) { worked[6] = true; } catch {}
        try queue.verdict(item) { worked[7] = true; } catch {}
        if (found) {
            try queue.precommit(sessionId, taskId, bytes32(uint256(1)), "") { worked[8] = true; } catch {}
        }
        vm.stopPrank();
        for (uint256 i; i < worked.length; ++i) {
            assertTrue(!worked[i], "a stranger's attempt worked");
        }
    }

    // ---------------------------------------------------------------- what must hold

    function checkMoney() external view {
        assertSolvent();
        uint256 balances;
        uint256 reserved;
        uint256 owed;
        uint256 stakes;
        for (uint256 sessionId = 1; sessionId <= SESSIONS; ++sessionId) {
            balances += payment.sessionBalance(sessionId);
            for (uint256 n; n < count[sessionId]; ++n) {
                reserved += tasks.reservedOf(sessionId, LANE + n);
            }
        }
        for (uint256 i; i < MINERS; ++i) {
            owed += payment.owedTo(miner(i));
            (uint256 staked, uint256 unbonding,) = pool.stakeOf(miner(i));
            stakes += staked + unbonding;
        }
        assertEq(payment.totalBalance(), balances, "sum of the sessions' balances");
        assertEq(payment.totalReserved(), reserved, "sum of what tasks hold");
        assertEq(payment.totalOwed(), owed, "sum of what nodes are owed");
        assertEq(payment.totalDeposited(), deposited, "sum of the deposits");
        assertEq(pool.totalStaked() + pool.totalUnbonding(), stakes, "sum of the stakes");
        assertEq(token.balanceOf(address(pool)), stakes + pool.slashed(), "stakes and slashed are there");
        assertEq(token.balanceOf(thief), 0, "the thief has nothing");
    }

    /// @dev Everybody takes out all that is theirs: nothing can keep it from them, and nothing is left over.
    function leave() external {
        pass(2 hours);
        for (uint256 sessionId = 1; sessionId <= SESSIONS; ++sessionId) {
            for (uint256 n; n < count[sessionId]; ++n) {
                finish(sessionId, LANE + n);
            }
            uint256 free = payment.sessionBalance(sessionId);
            if (free == 0) continue;
            vm.prank(ownerOf(sessionId));
            payment.withdrawFromSession(sessionId, free);
        }
        for (uint256 i; i < MINERS; ++i) {
            (uint256 staked, uint256 unbonding,) = pool.stakeOf(miner(i));
            if (payment.owedTo(miner(i)) != 0) payment.withdrawNodePaymentFor(miner(i));
            vm.startPrank(miner(i));
            if (staked != 0) pool.unbond(miner(i), staked);
            pass(7 days);
            if (staked + unbonding != 0) pool.withdrawStake(miner(i));
            vm.stopPrank();
        }
        assertEq(token.balanceOf(address(payment)), 0, "the escrow is empty");
        assertEq(token.balanceOf(address(pool)), pool.slashed(), "the pool keeps what was slashed");
        uint256 all;
        uint256 work;
        for (uint256 i; i < MINERS; ++i) {
            uint256 has = token.balanceOf(miner(i));
            assertTrue(has <= GIVEN + earned[miner(i)], "no miner has more than it was given and earned");
            all += has;
            work += earned[miner(i)];
        }
        assertEq(all + pool.slashed(), MINERS * GIVEN + work, "and all miners together exactly that");
        assertEq(token.balanceOf(client) + token.balanceOf(second) + work, deposited, "clients have the rest");
        assertEq(earned[miner(COPYIST)], 0, "a copied hash earns nothing");
        assertEq(earned[miner(SILENT)], 0, "nor does silence");
    }

    // ---------------------------------------------------------------- inside

    function pass(uint256 seconds_) private {
        clock += seconds_;
        vm.warp(clock);
    }

    /// @dev States only move on, nobody is in without its precommit, and nobody is judged twice.
    function watch(uint256 sessionId, uint256 taskId) private {
        uint256 status = tasks.getTaskStatus(sessionId, taskId);
        assertTrue(status >= lastStatus[sessionId][taskId], "states move on only");
        lastStatus[sessionId][taskId] = status;
        if (status == uint256(TaskStatus.Ended)) {
            assertEq(tasks.reservedOf(sessionId, taskId), 0, "an ended task holds nothing");
        }
        assertTrue(verdicts[sessionId][taskId] <= 1, "one verdict");
        (address[] memory who, string[] memory results, bytes32[] memory hashes) =
            tasks.getTaskResultsAndHashes(sessionId, taskId);
        for (uint256 i; i < who.length; ++i) {
            assertEq(hashes[i], promised[sessionId][taskId][who[i]], "the promise stays");
            if (bytes(results[i]).length == 0) continue;
            bytes32 hash = tasks.commitHash(sessionId, taskId, who[i], results[i]);
            assertEq(hash, promised[sessionId][taskId][who[i]], "revealed is what was promised");
        }
    }

    function finish(uint256 sessionId, uint256 taskId) private {
        // At most three stages are left, each of them overdue in its turn.
        for (uint256 stage; stage < 3; ++stage) {
            try tasks.endPrecommit(sessionId, taskId, false) {} catch {}
            try tasks.endCommit(sessionId, taskId, false) {} catch {}
            try tasks.end(sessionId, taskId, true) {} catch {}
            pass(2 hours);
        }
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Ended), "every task can be ended");
    }

    function revealedIn(uint256 sessionId, uint256 taskId) private view returns (address[] memory revealed) {
        (address[] memory assigned, string[] memory results) = tasks.getTaskResults(sessionId, taskId);
        revealed = new address[](assigned.length);
        uint256 kept;
        for (uint256 i; i < assigned.length; ++i) {
            if (bytes(results[i]).length != 0) revealed[kept++] = assigned[i];
        }
        assembly ("memory-safe") {
            mstore(revealed, kept)
        }
    }

    function sessionOf(uint256 seed) private pure returns (uint256) {
        return 1 + seed % SESSIONS;
    }

    function ownerOf(uint256 sessionId) private view returns (address) {
        return sessionId == 1 ? client : second;
    }

    /// @dev The first task of a session, counted from a random one, whose status lies in a range.
    function taskIn(uint256 seed, TaskStatus least, TaskStatus most)
        private
        view
        returns (uint256 sessionId, uint256 taskId, bool found)
    {
        sessionId = sessionOf(seed);
        for (uint256 n; n < count[sessionId]; ++n) {
            taskId = LANE + (seed / SESSIONS % count[sessionId] + n) % count[sessionId];
            uint256 status = tasks.getTaskStatus(sessionId, taskId);
            if (status >= uint256(least) && status <= uint256(most)) return (sessionId, taskId, true);
        }
    }

    /// @dev The number of one of the task's miners.
    function minerIn(uint256 sessionId, uint256 taskId, uint256 which) private view returns (uint256 i) {
        address[] memory assigned = tasks.getTask(sessionId, taskId).assignedMiners;
        address chosen = assigned[which % assigned.length];
        while (miner(i) != chosen) ++i;
    }
}
