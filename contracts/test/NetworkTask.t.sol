// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CallBatching} from "../src/CallBatching.sol";
import {Cognitive} from "../src/Cognitive.sol";
import {NetworkFlow} from "../src/NetworkFlow.sol";
import {NetworkLedger} from "../src/NetworkLedger.sol";
import {NetworkPhases} from "../src/NetworkPhases.sol";
import {NodeStage} from "../src/NodeOutcomes.sol";
import {NodeRoll} from "../src/NodeRoll.sol";
import {NetworkCommit, NetworkPrecommit, NetworkSessionView, NetworkState} from "../src/NetworkTypes.sol";
import {RoleGuarded, RoleIds} from "../src/Roles.sol";
import {BlockVm, IdleNetwork} from "./IdleNetwork.sol";

contract NetworkTaskTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
    }

    // ---------------------------------------------------------------- the whole way

    function test_a_network_task_from_request_to_end() public {
        assertEq(network.getLatestSessionState(), uint256(NetworkState.Request), "none yet");
        uint256 requestId = requested();
        assertTrue(network.isRequestState(), "a creator is awaited");
        assertEq(network.creationRequestRequesters(requestId), relayer, "requester");
        address maker = creator();
        vm.prank(maker);
        uint256 id = cognitive.create("science", "optics");
        assertTrue(!network.isRequestState(), "created");
        assertEq(network.creationRequests(requestId), id, "the request's session");
        assertEq(network.getSessionState(id), uint256(NetworkState.Create), "Create");
        assertEq(network.getPrompt(id), "", "no prompt before the start");
        prepareNext(id);
        assertEq(network.getSessionState(id), uint256(NetworkState.Create), "one more preparer");
        prepareNext(id);
        assertEq(network.getSessionState(id), uint256(NetworkState.Prepare), "Prepare");
        cognitive.start(id);
        assertEq(network.getSessionState(id), uint256(NetworkState.Start), "Start");
        address[] memory drawn = network.get(id).miners;
        assertEq(drawn.length, 5, "all five are drawn, each once");
        for (uint256 i; i < 5; ++i) {
            precommitAs(id, drawn[i]);
        }
        assertEq(network.getSessionState(id), uint256(NetworkState.Precommit), "Precommit");
        tick(1);
        for (uint256 i; i < 5; ++i) {
            commitAs(id, drawn[i]);
        }
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "Commit");
        judgeAll(id, 9_000);
        (uint256 latest, uint8 state) = network.getLatestSessionInfo();
        assertEq(latest, id, "latest");
        assertEq(state, uint256(NetworkState.End), "End");
        assertEq(network.getLatestSessionId(), id, "latest");
        checkViews(id, maker);
    }

    function checkViews(uint256 id, address maker) private view {
        NetworkSessionView memory s = network.get(id);
        assertEq(s.id, id, "id");
        assertEq(s.creator, maker, "creator");
        assertEq(s.seed, network.getSessionSeed(id), "seed");
        assertEq(s.challenges.length, 4, "two preparers, two prompts each");
        assertEq(s.preparerIndex, 2, "two preparers were asked");
        assertEq(s.completionCounter, 5, "completions");
        assertEq(s.validators[0], validator, "validator");
        assertEq(network.getPrompt(id), s.challenges[s.challengeIndex], "prompt");
        for (uint256 i; i < 5; ++i) {
            address node = s.miners[i];
            assertEq(s.completions[i], completionOf(node), "completion");
            assertEq(s.submitterIds[i], keccak256(abi.encodePacked(node)), "submitter");
            assertEq(
                network.temporaryCompletionResults(s.completionHashes[i]), completionOf(node), "by its hash"
            );
            assertEq(network.getAccuracies(id)[i], 9_000, "accuracy");
            assertTrue(network.alreadyPrecommitted(id, node) && network.alreadyCommitted(id, node), "done");
        }
        assertTrue(!network.alreadyPrecommitted(id, relayer), "a stranger has not precommitted");
        assertTrue(!network.alreadyCommitted(id, relayer), "a stranger has not revealed");
        assertEq(cognitive.temporaryCompletionResultCounter(), 5, "completions in all");
        (string memory domain, string memory subdomain) = network.getDomainAndSubdomain(id);
        assertEq(domain, "science", "domain");
        assertEq(subdomain, "optics", "subdomain");
        (uint256 shownId,,,,, uint256 most,, uint8 state,,, address shownCreator,, uint256 completions) =
            network.sessions(id);
        assertEq(shownId, id, "sessions: id");
        assertEq(most, 4, "sessions: prompts");
        assertEq(state, uint256(NetworkState.End), "sessions: state");
        assertEq(shownCreator, maker, "sessions: creator");
        assertEq(completions, 5, "sessions: completions");
    }

    function test_an_accepted_task_is_credited_and_recorded() public {
        uint256 id = committed();
        NetworkSessionView memory s = network.get(id);
        judgeAll(id, 9_000);
        (,,, uint256 points) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(points, 2_000 + 2 * 3_000 + 5 * 9_000, "creator, preparers, completers");
        (uint256[10] memory passed, uint256[10] memory failed) = stats.countersOf(s.creator);
        assertEq(passed[uint256(NodeStage.Create)], 1, "created");
        assertEq(passed[uint256(NodeStage.Correctness)], 1, "answered right");
        assertEq(passed[uint256(NodeStage.Ping)], 1, "pinged");
        assertEq(failed[uint256(NodeStage.Commit)], 0, "never late");
        assertTrue(reputation.pointsOf(s.creator) > 0, "points");
    }

    function test_a_task_without_a_right_answer_pays_nobody() public {
        uint256 id = committed();
        address node = network.get(id).miners[0];
        judgeAll(id, 0);
        (,,, uint256 points) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(points, 0, "no points");
        assertEq(reputation.stagePointsOf(node, NodeStage.Correctness), -8, "a wrong answer costs");
    }

    function test_a_nodes_request_is_counted_when_it_led_to_a_session() public {
        vm.prank(miner(0));
        cognitive.request();
        tick(1);
        tick(1);
        cognitive.requestNextCreator();
        vm.prank(creator());
        uint256 id = cognitive.create("a", "b");
        while (network.getSessionState(id) == 1) {
            tick(91);
            cognitive.requestNextPreparer();
        }
        (uint256[10] memory passed,) = stats.countersOf(miner(0));
        assertEq(passed[uint256(NodeStage.Request)], 1, "counted");
    }

    // ---------------------------------------------------------------- request and create

    function test_one_round_at_a_time() public {
        cognitive.request();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.RoundOpen.selector, 1));
        cognitive.request();
    }

    function test_the_first_draw_waits_for_its_block() public {
        cognitive.request();
        tick(1); // the block whose hash will be the seed
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, height, height));
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotAsked.selector, address(this), address(0)));
        cognitive.create("a", "b");
        tick(1);
        cognitive.requestNextCreator();
        assertTrue(creator() != address(0), "drawn");
    }

    function test_a_seed_out_of_reach_is_armed_again() public {
        cognitive.request();
        uint256 armed = network.getRequest(1).drawBlock;
        height += 300;
        tick(1);
        BlockVm(address(vm)).setBlockhash(armed, 0);
        cognitive.requestNextCreator();
        assertEq(network.getRequest(1).drawBlock, height + 1, "the block after this one");
    }

    function test_without_anybody_there_a_request_is_abandoned() public {
        tick(16 minutes); // all pings are too old
        requested();
        assertTrue(!network.isRequestState(), "closed");
        cognitive.request(); // and the next one can come
        assertEq(cognitive.requestCounter(), 2, "second");
    }

    function test_late_creators_are_passed_over_until_none_is_left() public {
        requested();
        address first = creator();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, time, time + 60));
        cognitive.requestNextCreator();
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 1));
        vm.prank(first);
        cognitive.create("a", "b");
        cognitive.requestNextCreator();
        assertTrue(creator() != first, "the next one's turn");
        assertEq(reputation.pointsOf(first), -3, "lateness costs");
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotAsked.selector, first, creator()));
        vm.prank(first);
        cognitive.create("a", "b");
        tick(61);
        cognitive.requestNextCreator();
        tick(61);
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NoOpenRequest.selector, 1));
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NoOpenRequest.selector, 1));
        vm.prank(first);
        cognitive.create("a", "b");
    }

    function test_texts_have_bounds() public {
        requested();
        address maker = creator();
        vm.startPrank(maker);
        vm.expectRevert(NetworkPhases.EmptyText.selector);
        cognitive.create("", "b");
        vm.expectRevert(abi.encodeWithSelector(NetworkPhases.TextTooLong.selector, 129, 128));
        cognitive.create("a", string(new bytes(129)));
        vm.stopPrank();
    }

    function test_a_creator_without_gas_signs() public {
        uint256 requestId = requested();
        uint256 key = keyOf(creator());
        bytes32 typeHash =
            keccak256("NetworkCreate(uint256 requestId,uint256 seed,string domain,string subdomain)");
        uint256 seed = network.getRequest(requestId).seed;
        bytes32 structHash =
            keccak256(abi.encode(typeHash, requestId, seed, keccak256("science"), keccak256("optics")));
        bytes memory signature = signedFor(address(cognitive), key, structHash);
        vm.prank(relayer);
        uint256 id = cognitive.relayCreate("science", "optics", signature);
        assertEq(network.get(id).creator, vm.addr(key), "creator");
    }

    // ---------------------------------------------------------------- prepare and start

    function test_only_the_preparer_whose_turn_it_is_writes_prompts() public {
        uint256 id = created();
        address asked = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotAsked.selector, relayer, asked));
        vm.prank(relayer);
        cognitive.prepare(id, prompts(1), "", 0);
        uint256 seed = network.getSessionSeed(id);
        vm.startPrank(asked);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 0, 2));
        cognitive.prepare(id, prompts(0), "", 0);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 3, 2));
        cognitive.prepare(id, prompts(3), "", 0);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongSeed.selector, seed ^ 1, seed));
        cognitive.prepare(id, prompts(1), "", seed ^ 1);
        cognitive.prepare(id, prompts(1), "", seed);
        vm.stopPrank();
        tick(91);
        address late = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 1));
        vm.prank(late);
        cognitive.prepare(id, prompts(1), "", 0);
    }

    function test_a_preparer_without_gas_signs() public {
        uint256 id = created();
        address asked = preparer(id);
        string[] memory challenges = prompts(2);
        bytes32 list = keccak256(abi.encode(keccak256(bytes(challenges[0])), keccak256(bytes(challenges[1]))));
        bytes32 typeHash = keccak256("NetworkPrepare(uint256 id,uint256 seed,string[] challenges)");
        bytes32 structHash = keccak256(abi.encode(typeHash, id, network.getSessionSeed(id), list));
        bytes memory signature = signedFor(address(cognitive), keyOf(asked), structHash);
        vm.prank(relayer);
        cognitive.prepare(id, challenges, signature, 0);
        assertEq(network.get(id).challenges.length, 2, "prompts");
    }

    function test_late_preparers_are_passed_over() public {
        uint256 id = created();
        address late = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, time, time + 90));
        cognitive.requestNextPreparer();
        tick(91);
        cognitive.requestNextPreparer();
        prepareNext(id);
        tick(91);
        cognitive.end(id, true); // forces on, too
        tick(91);
        cognitive.requestNextPreparer();
        assertEq(network.getSessionState(id), uint256(NetworkState.Prepare), "goes on with what there is");
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 1));
        cognitive.start(id);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "never started");
        assertEq(reputation.stagePointsOf(late, NodeStage.Prepare), -3, "lateness costs");
    }

    function test_a_session_without_prompts_ends() public {
        uint256 id = created();
        for (uint256 i; i < 4; ++i) {
            tick(91);
            cognitive.requestNextPreparer();
        }
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "ended");
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.End, NetworkState.Create)
        );
        cognitive.requestNextPreparer();
        requested();
        assertTrue(network.isRequestState(), "and the next round can begin");
    }

    function test_who_was_drawn_of_late_is_left_alone() public {
        vm.prank(admin);
        cognitive.setMinerCooldownPeriod(1 hours);
        judgeAll(committed(), 10_000);
        uint256 id = prepared();
        vm.expectRevert(NetworkFlow.NobodyThere.selector);
        cognitive.start(id);
        tick(61);
        cognitive.resetState(id);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "over");
    }

    // ---------------------------------------------------------------- precommit and commit

    function test_only_drawn_nodes_precommit_and_once() public {
        uint256 id = started();
        address node = network.get(id).miners[0];
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotDrawn.selector, relayer));
        vm.prank(relayer);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
        vm.expectRevert(NetworkFlow.ZeroHash.selector);
        vm.prank(node);
        cognitive.precommit(id, 0, "", 0);
        precommitAs(id, node);
        vm.expectRevert(NetworkFlow.AlreadyDone.selector);
        vm.prank(node);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
    }

    function test_nothing_is_revealed_before_the_phase_is_over_nor_in_its_last_block() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        precommitAs(id, drawn[0]);
        bytes memory open =
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Start, NetworkState.Precommit);
        vm.expectRevert(open);
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
        for (uint256 i = 1; i < 5; ++i) {
            precommitAs(id, drawn[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, height, height));
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
        tick(1);
        commitAs(id, drawn[0]);
        vm.expectRevert(NetworkFlow.AlreadyDone.selector);
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
    }

    function test_a_copied_hash_cannot_be_revealed() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        (address honest, address thief) = (drawn[0], drawn[1]);
        precommitAs(id, honest);
        bytes32 hash = network.get(id).completionHashes[0];
        vm.prank(thief);
        cognitive.precommit(id, hash, "", 0);
        for (uint256 i = 2; i < 5; ++i) {
            precommitAs(id, drawn[i]);
        }
        tick(1);
        commitAs(id, honest);
        bytes32 own = network.completionHash(id, thief, completionOf(honest), saltOf(honest));
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.HashMismatch.selector, own, hash));
        vm.prank(thief);
        cognitive.commit(id, completionOf(honest), "", saltOf(honest));
    }

    function test_who_has_not_precommitted_cannot_reveal_and_pays_for_it() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        precommitAs(id, drawn[0]);
        precommitAs(id, drawn[1]);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, time, time + 120));
        cognitive.endPrecommit(id);
        tick(WINDOW);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 1));
        vm.prank(drawn[2]);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
        cognitive.endPrecommit(id);
        tick(1);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotPrecommitted.selector, drawn[2]));
        vm.prank(drawn[2]);
        cognitive.commit(id, "x", "", 1);
        commitAs(id, drawn[0]);
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 2));
        vm.prank(drawn[1]);
        cognitive.commit(id, completionOf(drawn[1]), "", saltOf(drawn[1]));
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "one answer is enough to judge");
        judgeAll(id, 10_000);
        assertEq(reputation.stagePointsOf(drawn[1], NodeStage.Commit), -5, "silence after the precommit");
        assertEq(reputation.stagePointsOf(drawn[2], NodeStage.Precommit), -3, "no precommit");
    }

    function test_a_session_that_nobody_answers_ends() public {
        uint256 id = started();
        tick(WINDOW);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "nobody precommitted");
        pingAll(5);
        id = precommitted();
        tick(61);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "nobody revealed");
    }

    function test_signed_steps_are_relayed_in_batches() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        uint256 seed = network.getSessionSeed(id);
        NetworkPrecommit[] memory items = new NetworkPrecommit[](5);
        NetworkCommit[] memory reveals = new NetworkCommit[](5);
        bytes[] memory signatures = new bytes[](5);
        bytes[] memory revealSignatures = new bytes[](5);
        for (uint256 i; i < 5; ++i) {
            bytes32 hash = network.completionHash(id, drawn[i], completionOf(drawn[i]), saltOf(drawn[i]));
            items[i] = NetworkPrecommit(id, seed, hash);
            signatures[i] = signPrecommit(items[i], keyOf(drawn[i]));
            reveals[i] = NetworkCommit(id, seed, completionOf(drawn[i]), saltOf(drawn[i]));
            revealSignatures[i] = signCommit(reveals[i], keyOf(drawn[i]));
        }
        // A stranger's signature is skipped, and the others count.
        bytes memory good = signatures[2];
        signatures[2] = signPrecommit(items[2], 0x7e1f);
        vm.recordLogs();
        vm.startPrank(relayer);
        cognitive.relayPrecommits(items, signatures);
        bytes memory reason = abi.encodeWithSelector(NetworkFlow.NotDrawn.selector, vm.addr(0x7e1f));
        assertEq(keccak256(skipped()), keccak256(reason), "skipped");
        cognitive.precommit(id, items[2].hash, good, seed);
        tick(1);
        cognitive.relayCommits(reveals, revealSignatures);
        vm.stopPrank();
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "all revealed");
    }

    function test_a_signature_is_of_no_use_in_another_session() public {
        uint256 id = started();
        address node = network.get(id).miners[0];
        NetworkPrecommit memory item = NetworkPrecommit(id, 1, bytes32(uint256(7)));
        bytes memory signature = signPrecommit(item, keyOf(node)); // of another seed: a fork's session
        vm.expectPartialRevert(NetworkFlow.NotDrawn.selector);
        cognitive.precommit(id, item.hash, signature, 0);
    }

    function test_lists_of_different_lengths_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(CallBatching.LengthsDiffer.selector, 1, 0));
        cognitive.relayPrecommits(new NetworkPrecommit[](1), new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(CallBatching.LengthsDiffer.selector, 1, 0));
        cognitive.relayCommits(new NetworkCommit[](1), new bytes[](0));
    }

    // ---------------------------------------------------------------- verdict and end

    function test_only_validators_judge_and_only_what_is_revealed() public {
        uint256 id = precommitted();
        address[] memory drawn = network.get(id).miners;
        uint256[] memory accuracies = new uint256[](5);
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Precommit, NetworkState.Commit)
        );
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
        commitAs(id, drawn[0]);
        tick(61);
        cognitive.end(id, true);
        vm.expectRevert(
            abi.encodeWithSelector(RoleGuarded.MissingRole.selector, drawn[0], RoleIds.VALIDATOR)
        );
        vm.prank(drawn[0]);
        cognitive.judge(id, accuracies, "");
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 4, 5));
        cognitive.judge(id, new uint256[](4), "");
        accuracies[0] = 10_001;
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.VerdictTooLarge.selector, 10_001, 10_000));
        cognitive.judge(id, accuracies, "");
        (accuracies[0], accuracies[1]) = (10_000, 1);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.VerdictTooLarge.selector, 1, 0));
        cognitive.judge(id, accuracies, "");
        vm.stopPrank();
    }

    function test_a_validators_signature_judges() public {
        uint256 id = committed();
        uint256[] memory accuracies = accuraciesFor(id, 8_000);
        bytes32 typeHash = keccak256("NetworkVerdict(uint256 id,uint256 seed,uint256[] accuraciesBps)");
        bytes32 list = keccak256(abi.encodePacked(accuracies));
        bytes32 structHash = keccak256(abi.encode(typeHash, id, network.getSessionSeed(id), list));
        bytes memory signature = signedFor(address(cognitive), VALIDATOR_KEY, structHash);
        vm.prank(relayer);
        cognitive.judge(id, accuracies, signature);
        assertEq(network.get(id).validators[0], validator, "validator");
    }

    function test_without_a_verdict_the_session_ends_unpaid() public {
        uint256 id = committed();
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Commit, NetworkState.End)
        );
        cognitive.end(id, false);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooEarly.selector, time, time + 120));
        cognitive.end(id, true);
        tick(WINDOW);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.TooLate.selector, time, time - 1));
        vm.prank(validator);
        cognitive.judge(id, new uint256[](5), "");
        cognitive.end(id, true);
        (,,, uint256 points) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(points, 0, "nobody is credited");
        vm.expectRevert(NetworkFlow.AlreadyEnded.selector);
        cognitive.end(id, false);
    }

    function test_what_does_not_exist_is_not_found() public {
        bytes memory none = abi.encodeWithSelector(NetworkLedger.SessionNotFound.selector, 1);
        vm.expectRevert(none);
        cognitive.start(1);
        vm.expectRevert(none);
        network.get(1);
        vm.expectRevert(abi.encodeWithSelector(NetworkLedger.SessionNotFound.selector, 0));
        cognitive.requestNextPreparer();
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NoOpenRequest.selector, 0));
        cognitive.requestNextCreator();
        assertTrue(!network.isRequestState(), "no request");
    }

    // ---------------------------------------------------------------- the seed

    function test_the_next_seed_comes_of_salts_and_a_block_that_nobody_knew_with_them() public {
        uint256 id = precommitted();
        uint256 closedIn = height - 1;
        address[] memory drawn = network.get(id).miners;
        bytes32 salts;
        for (uint256 i; i < 5; ++i) {
            commitAs(id, drawn[i]);
            salts ^= keccak256(abi.encode(drawn[i], saltOf(drawn[i])));
        }
        judgeAll(id, 10_000);
        cognitive.request();
        uint256 expected =
            uint256(keccak256(abi.encode(network.getSessionSeed(id), blockhash(closedIn), salts)));
        assertEq(network.getRequest(2).seed, expected, "seed");
        assertEq(network.getRequest(2).drawBlock, 0, "drawn at once");
    }

    function test_who_comes_after_the_freeze_is_not_drawn() public {
        uint256 id = precommitted();
        enrol(miner(9));
        pingAs(miner(9));
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < 5; ++i) {
            commitAs(id, drawn[i]);
        }
        judgeAll(id, 10_000);
        uint256 second = started();
        assertEq(network.get(second).miners.length, 5, "the five that were there");
        address[] memory again = network.get(second).miners;
        for (uint256 i; i < 5; ++i) {
            assertTrue(again[i] != miner(9), "not the newcomer");
        }
    }

    function test_an_old_seed_is_mixed_with_a_fresh_block() public {
        judgeAll(committed(), 10_000);
        tick(16 minutes);
        pingAll(5);
        cognitive.request();
        assertTrue(network.getRequest(2).drawBlock != 0, "awaits its block");
        assertTrue(network.getRequest(2).seed != 0, "keeps the old seed");
        uint256 old = network.getRequest(2).seed;
        tick(1);
        tick(1);
        cognitive.requestNextCreator();
        bytes32 hash = blockhash(height - 1);
        assertEq(network.getRequest(2).seed, uint256(keccak256(abi.encode(old, 2, hash))), "mixed");
    }

    // ---------------------------------------------------------------- words of this test

    function signPrecommit(NetworkPrecommit memory m, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
        return signedFor(address(cognitive), key, keccak256(abi.encode(typeHash, m.id, m.seed, m.hash)));
    }

    function signCommit(NetworkCommit memory m, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)");
        bytes32 text = keccak256(bytes(m.completion));
        return signedFor(address(cognitive), key, keccak256(abi.encode(typeHash, m.id, m.seed, text, m.salt)));
    }
}
