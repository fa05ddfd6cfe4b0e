// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {CortensorToken} from "../src/money/CortensorToken.sol";
import {NodePool, NodeState} from "../src/node/NodePool.sol";
import {OverdueTasks} from "../src/task/OverdueTasks.sol";
import {Roles} from "../src/common/Roles.sol";
import {Session} from "../src/session/Session.sol";
import {SessionPayment} from "../src/money/SessionPayment.sol";
import {SessionQueue} from "../src/task/SessionQueue.sol";
import {SessionViews} from "../src/session/SessionViews.sol";
import {
    SignedAck, SignedPrecommit, SignedVerdict, Submission, TaskStatus, Verdict
} from "../src/task/TaskTypes.sol";
import {Checks} from "./Vm.sol";

/// @dev The deployed network with its actors, and the steps of a task in short words.
abstract contract Network is Checks {
    uint256 internal constant MODEL = 1;
    uint256 internal constant INPUT_PRICE = 3;
    uint256 internal constant OUTPUT_PRICE = 7;
    uint256 internal constant MAX_TOKENS = 100;
    uint256 internal constant MAX_INPUT_TOKENS = 50;
    uint256 internal constant TIMEOUT = 60;
    /// @dev In which only an oracle ends the queue's and the precommits' stage.
    uint256 internal constant GRACE = 300;
    /// @dev For the reveals, and then for the verdict.
    uint256 internal constant STAGE_WINDOW = 3600;
    uint256 internal constant LANE = 1_000_000;
    uint256 internal constant START = 1_750_000_000;
    uint256 internal constant VALIDATOR_KEY = 0x7a11;

    string internal constant ADDRESS_OF_PROMPT =
        "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    address internal admin = address(0xad);
    address internal treasury = address(0x77);
    address internal client = address(0xc1);
    address internal router = address(0x70);
    address internal oracle = address(0x0a);
    address internal relayer = address(0x4e);
    address internal validator = vm.addr(VALIDATOR_KEY);

    Roles internal roles;
    CortensorToken internal token;
    NodePool internal pool;
    SessionPayment internal payment;
    SessionQueue internal queue;
    /// @dev The same contract: see OverdueTasks.
    OverdueTasks internal tasks;
    Session internal session;
    /// @dev The same contract: see SessionViews.
    SessionViews internal sessions;

    function deployNetwork() internal {
        vm.warp(START);
        roles = Roles(deploy("Roles", abi.encode(admin, 0)));
        token = CortensorToken(deploy("CortensorToken", abi.encode(treasury, 1e27)));
        pool = NodePool(deploy("NodePool", abi.encode(roles, token)));
        payment = deployPayment(roles, token);
        address overdue = deploy("OverdueTasks", abi.encode(roles, payment, pool));
        queue = SessionQueue(deploy("SessionQueue", abi.encode(roles, payment, pool, overdue)));
        tasks = OverdueTasks(payable(address(queue)));
        session = deploySession(roles, payment);
        sessions = SessionViews(address(session));
        vm.startPrank(admin);
        payment.setSession(session);
        roles.grantRole(roles.MODULE_ROLE(), address(session));
        roles.grantRole(roles.MODULE_ROLE(), address(queue));
        roles.grantRole(roles.ROUTER_ROLE(), router);
        roles.grantRole(roles.ORACLE_ROLE(), oracle);
        roles.grantRole(roles.VALIDATOR_ROLE(), validator);
        session.setDefaultRouter(router, "router");
        payment.setModelPrice(MODEL, INPUT_PRICE, OUTPUT_PRICE);
        vm.stopPrank();
        for (uint256 i; i < 5; ++i) {
            enrol(miner(i));
        }
    }

    function deployPayment(Roles roles_, IERC20 token_) internal returns (SessionPayment) {
        return SessionPayment(deploy("SessionPayment", abi.encode(roles_, token_)));
    }

    function deploySession(Roles roles_, SessionPayment payment_) internal returns (Session) {
        address views = deploy("SessionViews", abi.encode(roles_, queue));
        return Session(deploy("Session", abi.encode(roles_, queue, payment_, pool, views)));
    }

    // ---------------------------------------------------------------- actors

    function minerKey(uint256 i) internal pure returns (uint256) {
        return 0x1000 + i;
    }

    function miner(uint256 i) internal pure returns (address) {
        return vm.addr(minerKey(i));
    }

    function miners(uint256 count) internal pure returns (address[] memory addresses) {
        addresses = new address[](count);
        for (uint256 i; i < count; ++i) {
            addresses[i] = miner(i);
        }
    }

    function enrol(address node) internal {
        vm.prank(node);
        pool.register();
        vm.prank(oracle);
        pool.setNodeState(node, NodeState.Ephemeral);
    }

    // ---------------------------------------------------------------- sessions and money

    function openSession(uint256 redundancy) internal returns (uint256 sessionId) {
        vm.prank(client);
        session.create("s", "m", address(0), 1, 3, redundancy, 1, 0, false, 0, MODEL, 0, 0);
        return sessions.getSessionCount();
    }

    function fund(uint256 sessionId, uint256 amount) internal {
        vm.prank(treasury);
        token.transfer(client, amount);
        vm.startPrank(client);
        token.approve(address(payment), amount);
        payment.depositToSession(sessionId, amount);
        vm.stopPrank();
    }

    function fundedSession(uint256 redundancy) internal returns (uint256 sessionId) {
        sessionId = openSession(redundancy);
        fund(sessionId, 1e9);
    }

    function worstCase(uint256 redundancy, uint256 maxInputTokens) internal pure returns (uint256) {
        return redundancy * (maxInputTokens * INPUT_PRICE + MAX_TOKENS * OUTPUT_PRICE);
    }

    /// @dev What the invariant of the escrow says, for the sessions and nodes of a test.
    function assertSolvent() internal view {
        uint256 held = payment.totalBalance() + payment.totalReserved() + payment.totalOwed();
        assertEq(token.balanceOf(address(payment)), held, "tokens = balances + reserved + owed");
        assertEq(payment.totalDeposited(), held + payment.totalWithdrawn(), "deposited = held + withdrawn");
    }

    // ---------------------------------------------------------------- submission

    function assertStatus(uint256 sessionId, uint256 taskId, TaskStatus status) internal view {
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(status), "status");
    }

    function llmParams() internal pure returns (uint256[] memory params) {
        params = new uint256[](6);
        (params[0], params[1], params[2], params[3], params[4], params[5]) = (MAX_TOKENS, 70, 95, 40, 10, 20);
    }

    function requestParams() internal pure returns (uint256[] memory params) {
        params = new uint256[](1);
        params[0] = TIMEOUT;
    }

    function submission(uint256 sessionId, uint256 taskId) internal pure returns (Submission memory) {
        return Submission({
            sessionId: sessionId,
            taskId: taskId,
            taskData: ADDRESS_OF_PROMPT,
            promptType: 1,
            promptTemplate: "",
            llmParams: llmParams(),
            requestParams: requestParams(),
            clientReference: "ref",
            maxInputTokens: MAX_INPUT_TOKENS
        });
    }

    function relaySubmission(Submission memory item) internal {
        Submission[] memory items = new Submission[](1);
        items[0] = item;
        vm.prank(router);
        session.relaySubmissions(items);
    }

    /// @dev A task of the default router's lane, with miners 0 … redundancy - 1.
    function assignedTask(uint256 redundancy) internal returns (uint256 sessionId, uint256 taskId) {
        sessionId = fundedSession(redundancy);
        taskId = LANE;
        relaySubmission(submission(sessionId, taskId));
        assign(sessionId, taskId, miners(redundancy));
    }

    function assign(uint256 sessionId, uint256 taskId, address[] memory chosen) internal {
        vm.prank(router);
        queue.assignTask(sessionId, taskId, chosen, MODEL);
    }

    // ---------------------------------------------------------------- a miner's steps

    function result(uint256 i) internal pure returns (string memory) {
        return string.concat('{"result":"42","salt":"', i == 0 ? "a" : i == 1 ? "b" : "c", '"}');
    }

    function hashOf(uint256 sessionId, uint256 taskId, uint256 i) internal view returns (bytes32) {
        return tasks.commitHash(sessionId, taskId, miner(i), result(i));
    }

    function precommit(uint256 sessionId, uint256 taskId, uint256 i) internal {
        bytes32 hash = hashOf(sessionId, taskId, i);
        vm.prank(miner(i));
        queue.precommit(sessionId, taskId, hash, "");
    }

    function commit(uint256 sessionId, uint256 taskId, uint256 i) internal {
        vm.prank(miner(i));
        queue.commit(sessionId, taskId, result(i));
    }

    /// @dev One verdict on miners 0 … count - 1, all worth the same.
    function judge(uint256 sessionId, uint256 taskId, uint256 count, uint256 accuracyBps) internal {
        Verdict memory item = verdictOf(sessionId, taskId, miners(count), accuracyBps);
        vm.prank(validator);
        queue.verdict(item);
    }

    function verdictOf(uint256 sessionId, uint256 taskId, address[] memory judged, uint256 accuracyBps)
        internal
        pure
        returns (Verdict memory)
    {
        uint256[] memory accuracies = filled(judged.length, accuracyBps);
        return Verdict(
            sessionId, taskId, MAX_INPUT_TOKENS, judged, accuracies, filled(judged.length, MAX_TOKENS)
        );
    }

    /// @dev The validator's verdict is refused.
    function refuse(Verdict memory item, bytes memory reason) internal {
        vm.expectRevert(reason);
        vm.prank(validator);
        queue.verdict(item);
    }

    function filled(uint256 count, uint256 value) internal pure returns (uint256[] memory values) {
        values = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            values[i] = value;
        }
    }

    function list(address one) internal pure returns (address[] memory addresses) {
        addresses = new address[](1);
        addresses[0] = one;
    }

    // ---------------------------------------------------------------- signatures
    // EIP-712 written out, independently of the contracts' library.

    function signedAck(uint256 sessionId, uint256 taskId, uint256 i) internal view returns (SignedAck memory m) {
        bytes32 typeHash = keccak256("Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)");
        m = SignedAck(sessionId, taskId, miner(i), 0, 0);
        bytes32 digest = tasks.taskDigestOf(sessionId, taskId);
        (m.r, m.vs) = signed(minerKey(i), keccak256(abi.encode(typeHash, sessionId, taskId, digest, m.miner)));
    }

    function signedPrecommit(uint256 sessionId, uint256 taskId, uint256 i, bytes32 hash)
        internal
        view
        returns (SignedPrecommit memory m)
    {
        bytes32 typeHash =
            keccak256("Precommit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,bytes32 hash)");
        m = SignedPrecommit(sessionId, taskId, miner(i), hash, 0, 0);
        bytes32 digest = tasks.taskDigestOf(sessionId, taskId);
        (m.r, m.vs) =
            signed(minerKey(i), keccak256(abi.encode(typeHash, sessionId, taskId, digest, m.miner, hash)));
    }

    function signedVerdict(Verdict memory v, uint256 key) internal view returns (SignedVerdict memory m) {
        bytes32 typeHash = keccak256(
            "Verdict(uint256 sessionId,uint256 taskId,bytes32 taskDigest,uint256 inputTokens,"
            "address[] miners,uint256[] accuraciesBps,uint256[] outputTokens)"
        );
        m.verdict = v;
        bytes32 digest = tasks.taskDigestOf(v.sessionId, v.taskId);
        bytes memory head = abi.encode(typeHash, v.sessionId, v.taskId, digest, v.inputTokens);
        bytes memory lists = abi.encode(
            keccak256(abi.encodePacked(v.miners)),
            keccak256(abi.encodePacked(v.accuraciesBps)),
            keccak256(abi.encodePacked(v.outputTokens))
        );
        (m.r, m.vs) = signed(key, keccak256(bytes.concat(head, lists)));
    }

    function signed(uint256 key, bytes32 structHash) internal view returns (bytes32 r, bytes32 vs) {
        return shortForm(signedFor(address(queue), key, structHash));
    }

    function signedFor(address verifier, uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cortensor"),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked("\x19\x01", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev ERC-2098: v's one bit lies in the top of s.
    function shortForm(bytes memory signature) internal pure returns (bytes32 r, bytes32 vs) {
        bytes32 s;
        uint8 v = uint8(signature[64]);
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        vs = bytes32((uint256(v - 27) << 255) | uint256(s));
    }
}
