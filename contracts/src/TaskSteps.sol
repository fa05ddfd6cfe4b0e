// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Part, Progress} from "./Lanes.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {NewTask, TaskStatus, Verdict} from "./TaskTypes.sol";

/// @title The steps of a task that goes as it should: what each needs, what it changes, whom it pays.
abstract contract TaskSteps is TaskFlow {
    using TaskTerms for uint256;
    using Progress for uint64;
    using Part for uint64;

    uint256 public constant MAX_DATA_BYTES = 16 * 1024;
    uint256 private constant BPS = 10_000;
    /// @dev What a result that comes at the very end of its time is still worth.
    uint256 private constant LATEST_TIMELINESS_BPS = 8_000;

    /// @dev What a verdict says of those who have revealed: the lists go together.
    /// @param shares what each gets of its price, as SessionPayment wants it: accuracy × timeliness
    /// @param count how many they are
    /// @param seen a bit for each of their places in the task
    /// @param successes bit i says whether the i-th result is worth anything
    struct Judged {
        address[] miners;
        uint256[] accuraciesBps;
        uint256[] outputTokens;
        uint256[] shares;
        uint256 count;
        uint256 seen;
        uint256 successes;
    }

    // ---------------------------------------------------------------- submission and assignment

    /// @dev Reverts with its refusal: Session, which calls it, reports it.
    function _enqueue(NewTask calldata t) internal {
        Task storage task = _slot(t.sessionId, t.taskId);
        if (task.createdAt != 0) {
            bytes32 digest = TaskTerms.digestOf(t.sid, t.taskId, t.content, t.terms, t.rest);
            if (_digestOf(t.sessionId, t.taskId, task) == digest) revert AlreadyDone();
            revert TaskIdTaken();
        }
        uint256 priceId = payment.reserve(
            t.sessionId,
            t.taskId,
            t.modelIdentifier,
            t.redundancy,
            t.terms.maxInputTokens(),
            t.terms.maxTokens()
        );
        if (_keys[t.sessionId].sid == 0) _keys[t.sessionId] = SessionKey(t.sid, t.modelIdentifier);
        _appendId(t.sessionId, t.taskId);
        uint48 globalId = ++_latestGlobalId;

        task.content = t.content;
        // The casts lose nothing: Session has checked the redundancy and packed the terms, the escrow keeps
        // its prices' numbers small, and four billion tasks are more than a chain can run.
        task.createdAt = uint32(block.timestamp);
        task.globalId = uint32(globalId);
        task.priceId = uint16(priceId);
        task.redundancy = uint8(t.redundancy);
        task.flags = (t.isText ? FLAG_TEXT : 0) | (t.rest == 0 ? 0 : FLAG_REST);
        task.terms = uint160(t.terms);
        if (t.rest != 0) task.rest = t.rest;
        if (t.isText) task.text = t.taskData;
        if (bytes(t.promptTemplate).length != 0) task.promptTemplate = t.promptTemplate;
        emit TaskQueued(t.sessionId, t.taskId, globalId, t.taskData);
    }

    function _assign(uint256 sessionId, uint256 taskId, address[] calldata miners, uint256 modelIdentifier)
        internal
        returns (bytes memory)
    {
        Task storage task = _slot(sessionId, taskId);
        if (task.createdAt == 0) return _notFound(sessionId, taskId);
        TaskStatus status = uint64(task.lanes[0]).status();
        if (status != TaskStatus.Queued) return abi.encodeWithSelector(WrongStatus.selector, status);
        if (block.timestamp > _queueDeadline(task)) return _late(_queueDeadline(task));
        if (miners.length == 0 || miners.length > task.redundancy) {
            return abi.encodeWithSelector(WrongNumberOfMiners.selector, miners.length, task.redundancy);
        }
        uint256 expected = _keys[sessionId].modelIdentifier;
        if (modelIdentifier != expected) {
            return abi.encodeWithSelector(WrongModel.selector, modelIdentifier, expected);
        }
        uint256[] memory indexes = pool.placesOf(miners, modelIdentifier);
        for (uint256 i; i < miners.length; ++i) {
            if (indexes[i] == 0) return abi.encodeWithSelector(NotEligible.selector, miners[i]);
            for (uint256 j; j < i; ++j) {
                if (indexes[j] == indexes[i]) return abi.encodeWithSelector(DuplicateMiner.selector, miners[i]);
            }
        }

        uint256 board = Progress.begun(block.timestamp - task.createdAt);
        for (uint256 i; i < miners.length; ++i) {
            board = _place(task, board, i, miners[i], indexes[i], 0);
        }
        task.lanes[0] = board;
        emit TaskAssigned(sessionId, taskId, miners);
        return "";
    }

    // ---------------------------------------------------------------- a miner's steps
    // They get the task and its board, and give the changed board back, so that several steps of one task in a
    // batch read it once and write it once.

    function _ack(uint256 sessionId, uint256 taskId, Task storage task, uint256 board, address miner)
        internal
        returns (bytes memory, uint256)
    {
        (bool found, uint256 index) = _find(task, board, miner);
        if (!found) return (_notAssigned(miner), board);
        uint64 part = _part(task, board, index);
        if (part.acked() != 0) return (_alreadyDone(), board);
        uint64 progress = uint64(board);
        if (progress.status() >= TaskStatus.Precommitted) return (_phaseOver(), board);
        uint256 assignedAt = _assignedAt(task, progress);
        uint256 deadline = assignedAt + uint256(task.terms).timeout();
        if (block.timestamp > deadline) return (_late(deadline), board);

        board = _withPart(task, board, index, part.withAcked(block.timestamp - assignedAt));
        emit TaskAcked(sessionId, taskId, miner);
        return ("", _withProgress(board, progress.withStatus(TaskStatus.Acked, 0)));
    }

    function _precommit(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        uint256 board,
        address miner,
        bytes32 hash
    ) internal returns (bytes memory, uint256) {
        (bool found, uint256 index) = _find(task, board, miner);
        if (!found) return (_notAssigned(miner), board);
        if (hash == 0) return (abi.encodeWithSelector(ZeroHash.selector), board);
        uint64 part = _part(task, board, index);
        if (part.precommitted() != 0) return (_secondPrecommit(task, index, part, hash), board);
        uint64 progress = uint64(board);
        if (progress.status() >= TaskStatus.Precommitted) return (_phaseOver(), board);
        uint256 assignedAt = _assignedAt(task, progress);
        uint256 deadline = assignedAt + uint256(task.terms).timeout();
        if (block.timestamp > deadline) return (_late(deadline), board);

        uint256 since = block.timestamp - assignedAt;
        if (part.acked() == 0) part = part.withAcked(since);
        board = _withPart(task, board, index, part.withPrecommitted(since));
        task.results[index] = hash;
        emit TaskPrecommitted(sessionId, taskId, miner);
        (uint256 placed, uint256 precommitted,) = _count(task, board);
        if (precommitted != placed) return ("", _withProgress(board, progress.withStatus(TaskStatus.Acked, 0)));
        board = _withPhaseOver(task, board);
        emit TaskAllPrecommitted(
            sessionId, taskId, _minersBetween(task, board, TaskStatus.Precommitted, TaskStatus.Ended)
        );
        return ("", board);
    }

    function _secondPrecommit(Task storage task, uint256 index, uint64 part, bytes32 hash)
        private
        view
        returns (bytes memory)
    {
        bytes32 first = task.results[index];
        if (part.committed() != 0 || first == hash) return _alreadyDone();
        return abi.encodeWithSelector(HashFixed.selector, hash, first);
    }

    /// @param content the digest that `data` addresses, 0 when it is a plain text
    function _commit(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        uint256 board,
        address miner,
        string memory data,
        bytes32 content
    ) internal returns (bytes memory, uint256) {
        (bool found, uint256 index) = _find(task, board, miner);
        if (!found) return (_notAssigned(miner), board);
        uint64 part = _part(task, board, index);
        if (part.committed() != 0) return (_alreadyDone(), board);
        uint64 progress = uint64(board);
        if (progress.status() < TaskStatus.Precommitted) return (_phaseOpen(), board);
        if (progress.status() > TaskStatus.Precommitted) return (_phaseOver(), board);
        if (part.precommitted() == 0) return (_partNotReady(part), board);
        uint256 deadline = progress.stageAt() + COMMIT_WINDOW;
        if (block.timestamp > deadline) return (_late(deadline), board);
        if (bytes(data).length == 0) return (abi.encodeWithSelector(EmptyData.selector), board);
        if (bytes(data).length > MAX_DATA_BYTES) {
            return (abi.encodeWithSelector(DataTooLong.selector, bytes(data).length, MAX_DATA_BYTES), board);
        }
        bytes32 hash = _commitHash(sessionId, taskId, miner, data);
        bytes32 expected = task.results[index];
        if (hash != expected) return (abi.encodeWithSelector(HashMismatch.selector, hash, expected), board);

        board = _withPart(task, board, index, part.withCommitted(block.timestamp - progress.stageAt()));
        if (content != 0) task.results[index] = content;
        else task.resultTexts[index] = data;
        emit TaskCommitted(sessionId, taskId, miner);
        // Who has not precommitted is out already, and counts no more.
        (, uint256 precommitted, uint256 committed) = _count(task, board);
        if (committed != precommitted) return ("", board);
        board = _withProgress(board, progress.withStatus(TaskStatus.Committed, block.timestamp));
        emit TaskAllCommitted(
            sessionId, taskId, _minersBetween(task, board, TaskStatus.Committed, TaskStatus.Ended)
        );
        return ("", board);
    }

    // ---------------------------------------------------------------- the verdict

    /// @dev Judges all who have revealed, pays them and ends the task.
    function _verdict(Verdict calldata v, address validator) internal returns (bytes memory) {
        Task storage task = _slot(v.sessionId, v.taskId);
        if (task.createdAt == 0) return _notFound(v.sessionId, v.taskId);
        uint256 board = task.lanes[0];
        uint64 progress = uint64(board);
        if (progress.judged()) return _alreadyDone();
        if (progress.status() == TaskStatus.Ended) return abi.encodeWithSelector(AlreadyEnded.selector);
        if (progress.status() < TaskStatus.Committed) return _phaseOpen();
        (bytes memory refusal, Judged memory judged) = _weigh(task, board, v);
        if (refusal.length != 0) return refusal;

        emit TaskVerdict(
            v.sessionId,
            v.taskId,
            validator,
            v.inputTokens,
            judged.miners,
            judged.accuraciesBps,
            judged.outputTokens
        );
        _finish(v.sessionId, v.taskId, task, _withProgress(board, progress.withJudged()));
        payment.settle(
            _holding(v.sessionId, v.taskId, task), v.inputTokens, judged.miners, judged.outputTokens, judged.shares
        );
        pool.recordOutcomes(judged.miners, judged.successes);
        return "";
    }

    /// @dev Passes over whoever has not revealed: its lateness was dealt with when the phase ended, and whether
    ///      a reveal is mined in time must not decide about the others' pay. Who has revealed cannot be left out.
    /// @return refusal when the verdict does not fit the task
    /// @return judged what it says of those who have revealed
    function _weigh(Task storage task, uint256 board, Verdict calldata v)
        private
        view
        returns (bytes memory refusal, Judged memory judged)
    {
        uint256 named = v.miners.length;
        if (v.accuraciesBps.length != named || v.outputTokens.length != named) {
            refusal = abi.encodeWithSelector(
                ListsDiffer.selector, named, v.accuraciesBps.length, v.outputTokens.length
            );
            return (refusal, judged);
        }
        uint256 terms = task.terms;
        refusal = _aboveMost(v.inputTokens, terms.maxInputTokens());
        if (refusal.length != 0) return (refusal, judged);
        (,, uint256 revealed) = _count(task, board);
        judged.miners = new address[](revealed);
        judged.accuraciesBps = new uint256[](revealed);
        judged.outputTokens = new uint256[](revealed);
        judged.shares = new uint256[](revealed);
        for (uint256 i; i < named && refusal.length == 0; ++i) {
            (bool found, uint256 index) = _find(task, board, v.miners[i]);
            if (!found) continue;
            uint64 part = _part(task, board, index);
            if (part.committed() != 0) refusal = _weighOne(v, i, index, part, terms, judged);
        }
        if (refusal.length == 0 && judged.count != revealed) {
            refusal = abi.encodeWithSelector(NotAllJudged.selector, judged.count, revealed);
        }
    }

    /// @param i the miner's place in the verdict
    /// @param index its place in the task
    function _weighOne(
        Verdict calldata v,
        uint256 i,
        uint256 index,
        uint64 part,
        uint256 terms,
        Judged memory judged
    ) private pure returns (bytes memory) {
        if ((judged.seen >> index) & 1 == 1) {
            return abi.encodeWithSelector(DuplicateMiner.selector, v.miners[i]);
        }
        uint256 accuracyBps = v.accuraciesBps[i];
        if (accuracyBps > BPS) return _aboveMost(accuracyBps, BPS);
        uint256 outputTokens = v.outputTokens[i];
        if (outputTokens > terms.maxTokens()) return _aboveMost(outputTokens, terms.maxTokens());
        uint256 count = judged.count++;
        judged.seen |= 1 << index;
        judged.miners[count] = v.miners[i];
        judged.accuraciesBps[count] = accuracyBps;
        judged.outputTokens[count] = outputTokens;
        judged.shares[count] = accuracyBps * _timelinessBps(part, terms.timeout());
        if (accuracyBps != 0) judged.successes |= 1 << count;
        return "";
    }

    /// @dev Full marks up to half of the lease; then falling in a straight line to LATEST_TIMELINESS_BPS at the
    ///      precommit deadline. The loss is rounded up.
    function _timelinessBps(uint64 part, uint256 timeout) private pure returns (uint256) {
        uint256 from = part.assigned() + timeout / 4;
        uint256 done = part.precommitted() - 1;
        if (done <= from) return BPS;
        // No precommit is later than `timeout`, so `timeout` is above `from` here.
        uint256 loss = (BPS - LATEST_TIMELINESS_BPS) * (done - from);
        return BPS - (loss + (timeout - from) - 1) / (timeout - from);
    }

    function _aboveMost(uint256 value, uint256 most) private pure returns (bytes memory) {
        return value > most ? abi.encodeWithSelector(VerdictTooLarge.selector, value, most) : bytes("");
    }
}
