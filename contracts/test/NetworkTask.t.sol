// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkPhases} from "../src/network/NetworkPhases.sol";
import {NetworkRequests} from "../src/network/NetworkRequests.sol";
import {NodeStage} from "../src/node/NodeOutcomes.sol";
import {NetworkSessionView, NetworkState} from "../src/network/NetworkTypes.sol";
import {BlockVm, IdleNetwork} from "./IdleNetwork.sol";

/// @dev What the view `sessions` returns.
struct ShownSession {
    uint256 id;
    uint256 timestamp;
    uint256 seed;
    string domain;
    string subdomain;
    uint256 maxPrompts;
    uint256 challengeIndex;
    uint8 state;
    uint256 startTimestamp;
    uint256 endTimestamp;
    address creator;
    uint256 preparerIndex;
    uint256 completionCounter;
}

/// @dev A network task from its request to its end, and how it begins.
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
        ShownSession memory shown = sessionShown(id);
        assertEq(shown.id, id, "sessions: id");
        assertEq(shown.maxPrompts, 4, "sessions: prompts");
        assertEq(shown.state, uint256(NetworkState.End), "sessions: state");
        assertEq(shown.creator, maker, "sessions: creator");
        assertEq(shown.completionCounter, 5, "sessions: completions");
    }

    /// @dev Read as one struct: thirteen values have no room on the stack of the old code generator.
    function sessionShown(uint256 id) private view returns (ShownSession memory) {
        (bool done, bytes memory values) = address(network).staticcall(abi.encodeCall(network.sessions, (id)));
        assertTrue(done, "sessions");
        return abi.decode(bytes.concat(abi.encode(0x20), values), (ShownSession));
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
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.RoundOpen.selector, 1));
        cognitive.request();
    }

    function test_the_first_draw_waits_for_its_block() public {
        cognitive.request();
        tick(1); // the block whose hash will be the seed
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, height, height));
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NotAsked.selector, address(this), address(0)));
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
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, time, time + 60));
        cognitive.requestNextCreator();
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        vm.prank(first);
        cognitive.create("a", "b");
        cognitive.requestNextCreator();
        assertTrue(creator() != first, "the next one's turn");
        assertEq(reputation.pointsOf(first), -3, "lateness costs");
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NotAsked.selector, first, creator()));
        vm.prank(first);
        cognitive.create("a", "b");
        tick(61);
        cognitive.requestNextCreator();
        tick(61);
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NoOpenRequest.selector, 1));
        cognitive.requestNextCreator();
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NoOpenRequest.selector, 1));
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
}
