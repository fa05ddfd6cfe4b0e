// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISession} from "../session/ISession.sol";
import {Mark} from "../task/Marks.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {TaskTerms} from "../task/TaskTerms.sol";
import {Versioned} from "../common/Versioned.sol";

/// @notice The reservation of a task, as it was made.
/// @param priceId the price that `reserve` returned
struct Holding {
    uint256 sessionId;
    uint256 taskId;
    uint256 priceId;
    uint256 redundancy;
    uint256 maxInputTokens;
    uint256 maxTokens;
}

/// @title The escrow. It accounts for every deposited wei in exactly one of four totals.
/// @notice At every block `deposited = balances + reserved + owed + withdrawn`, and the contract holds at least
///         `balances + reserved + owed` tokens: exactly that amount, unless an account transfers tokens to it directly.
/// @dev The amount that a task has reserved follows from its price and its terms, which the queue stores, so it is not
///      stored here. The queue ensures that a task is settled only once.
///      Amounts are uint128, so that two fit into a word. Deposits are cast with a check, and no other sum can exceed
///      the deposits.
contract SessionPayment is Versioned, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using TaskTerms for uint256;

    /// @dev One word, in wei for one token of the model. Entries never change: a new price is a new entry.
    struct Price {
        uint128 inputPriceWei;
        uint128 outputPriceWei;
    }

    /// @notice The value of a full share: accuracy times timeliness, each in basis points.
    uint256 public constant SHARE_UNIT = 1e8;
    uint256 private constant MAX_PRICE_ID = type(uint16).max;
    uint256 private constant MAX_RESERVATION = type(uint96).max;

    IERC20 public immutable token;

    ISession public session;

    mapping(uint256 sessionId => uint256) public sessionBalance;
    mapping(address node => uint256) public owedTo;
    /// @dev The index of the current price in `_prices`; 0 for a model that is not served.
    mapping(uint256 modelIdentifier => uint256) private _priceIds;
    Price[] private _prices;
    /// @notice The model of sessions whose creator names none. Until it is set, the first model that had a price.
    uint256 public defaultModel;

    /// @dev `_balances` and `_reserved` share a word, since every submission and settlement changes both. The owed
    ///      total is the remainder of the deposits.
    uint128 private _balances;
    uint128 private _reserved;
    uint128 private _withdrawn;
    uint128 private _deposited;

    event SessionDeposited(uint256 indexed sessionId, address indexed from, uint256 amount);
    event SessionWithdrawn(uint256 indexed sessionId, address indexed to, uint256 amount);
    /// @param terms the task's packed terms, which determine the amount: see TaskTerms
    event TaskReserved(uint256 sessionId, uint256 taskId, bytes32 taskDigest, uint256 terms, uint256 amount);
    /// @param payments a word for each node: its address in the high 160 bits, and in the low 96 bits the amount that
    ///        it is owed for the task
    event TaskSettled(uint256 sessionId, uint256 taskId, uint256[] payments, uint256 refunded);
    event NodeWithdrawn(address indexed node, uint256 amount);
    event ModelPriceSet(uint256 indexed modelIdentifier, uint256 inputPriceWei, uint256 outputPriceWei);
    event DefaultModelSet(uint256 indexed modelIdentifier);
    event SessionContractSet(address session);

    error InsufficientSessionBalance(uint256 sessionId, uint256 needed, uint256 available);
    error InsufficientReservation(uint256 sessionId, uint256 taskId, uint256 needed, uint256 available);
    /// @dev The amount exceeds the 96 bits that TaskSettled has for it, eighty times the supply of $COR.
    error ReservationTooLarge(uint256 amount, uint256 most);
    error TooManyPrices(uint256 most);
    error NotSessionOwner(uint256 sessionId, address account);
    error NothingOwed(address node);
    error SessionAlreadySet(address session);
    error SessionNotFound(uint256 sessionId);
    error ZeroAmount();
    error ZeroPrice(uint256 modelIdentifier);

    constructor(Roles roles_, IERC20 token_) RoleGuarded(roles_) {
        token = token_;
        _prices.push();
    }

    /// @notice Sets the address of Session. Called once, after deployment.
    function setSession(ISession session_) external onlyRole(RoleIds.ADMIN) {
        if (address(session) != address(0)) revert SessionAlreadySet(address(session));
        session = session_;
        emit SessionContractSet(address(session_));
    }

    /// @notice Sets the prices of a model in wei per token, for tasks that are submitted later.
    function setModelPrice(uint256 modelIdentifier, uint256 inputPriceWei, uint256 outputPriceWei)
        external
        onlyRole(RoleIds.ADMIN)
    {
        // A price of zero is refused, since a price marks a model as served (see Session.create).
        if (inputPriceWei == 0 && outputPriceWei == 0) revert ZeroPrice(modelIdentifier);
        uint256 priceId = _prices.length;
        if (priceId > MAX_PRICE_ID) revert TooManyPrices(MAX_PRICE_ID);
        _prices.push(Price(inputPriceWei.toUint128(), outputPriceWei.toUint128()));
        if (priceId == 1) _setDefaultModel(modelIdentifier);
        _priceIds[modelIdentifier] = priceId;
        emit ModelPriceSet(modelIdentifier, inputPriceWei, outputPriceWei);
    }

    /// @notice Sets the model of sessions whose creator names none. It must have a price.
    function setDefaultModel(uint256 modelIdentifier) external onlyRole(RoleIds.ADMIN) {
        if (_priceIds[modelIdentifier] == 0) revert ZeroPrice(modelIdentifier);
        _setDefaultModel(modelIdentifier);
    }

    /// @notice Adds the sender's tokens to a session's balance. Only the session's owner can withdraw them.
    function depositToSession(uint256 sessionId, uint256 amount) external nonReentrant {
        _deposit(sessionId, amount);
    }

    /// @notice Like `depositToSession`, with the token's permit instead of an earlier `approve`.
    function depositToSessionWithPermit(
        uint256 sessionId,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        // Another account may have sent the permit first. This call then fails, but the allowance exists, and only the
        // allowance matters.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(sessionId, amount);
    }

    /// @notice Pays the session's owner a part of the balance that no task has reserved. This cannot be paused.
    function withdrawFromSession(uint256 sessionId, uint256 amount) external nonReentrant {
        if (session.ownerOf(sessionId) != msg.sender) revert NotSessionOwner(sessionId, msg.sender);
        if (amount == 0) revert ZeroAmount();
        _takeFromBalance(sessionId, amount);
        _balances -= amount.toUint128();
        _withdrawn += amount.toUint128();
        emit SessionWithdrawn(sessionId, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @notice Pays the sender, a node, everything that it is owed. This cannot be paused.
    function withdrawNodePayment() external nonReentrant {
        _withdrawOwed(msg.sender);
    }

    /// @notice Pays a node everything that it is owed. Anyone may call it and pay the gas; the tokens go to the node.
    function withdrawNodePaymentFor(address node) external nonReentrant {
        _withdrawOwed(node);
    }

    /// @notice Reserves a task's worst-case cost from the session's balance, at the model's current price.
    /// @param taskDigest the digest of everything that the task specifies
    /// @param terms the task's packed terms, which determine the amount: see TaskTerms
    /// @return priceId the number of the price, which `settle` needs
    function reserve(
        uint256 sessionId,
        uint256 taskId,
        uint256 modelIdentifier,
        uint256 redundancy,
        bytes32 taskDigest,
        uint256 terms
    ) external onlyModule returns (uint256 priceId) {
        priceId = _priceIds[modelIdentifier];
        uint256 amount = worstCaseOf(priceId, redundancy, terms.maxInputTokens(), terms.maxTokens());
        if (amount > MAX_RESERVATION) revert ReservationTooLarge(amount, MAX_RESERVATION);
        _takeFromBalance(sessionId, amount);
        // The cast is safe: the amount is at most the balance.
        _balances -= uint128(amount);
        _reserved += uint128(amount);
        emit TaskReserved(sessionId, taskId, taskDigest, terms, amount);
    }

    /// @notice Settles a task's reservation: credits its nodes, which withdraw later, and returns the rest to the
    ///         session's balance. Rounding favours the session.
    /// @param inputTokens the tokens of the prompt, the same for all nodes
    /// @param marks the nodes to pay, their output tokens, and their shares of the price: see Mark
    function settle(Holding calldata holding, uint256 inputTokens, Mark[] calldata marks)
        external
        onlyModule
    {
        Price memory price = _prices[holding.priceId];
        uint256 held = holding.redundancy
            * (holding.maxInputTokens * price.inputPriceWei + holding.maxTokens * price.outputPriceWei);
        uint256[] memory payments = new uint256[](marks.length);
        uint256 inputWorth = inputTokens * price.inputPriceWei;
        uint256 paid;
        for (uint256 i; i < marks.length; ++i) {
            Mark mark = marks[i];
            // No overflow: a price has 128 bits, output tokens have 32, a share has 32, and the queue limits a
            // verdict's input tokens to the 20 bits that were reserved for. If more is paid than was reserved, the
            // call reverts below. What is owed was deposited before.
            unchecked {
                uint256 worth = inputWorth + mark.outputTokens() * price.outputPriceWei;
                uint256 amount = worth * mark.share() / SHARE_UNIT;
                payments[i] = mark.withPayment(amount);
                if (amount == 0) continue;
                paid += amount;
                owedTo[mark.node()] += amount;
            }
        }
        if (paid > held) revert InsufficientReservation(holding.sessionId, holding.taskId, paid, held);
        uint256 refunded = held - paid;
        // No overflow: the refund and the reserved amount are parts of `_reserved`.
        unchecked {
            sessionBalance[holding.sessionId] += refunded;
            _balances += uint128(refunded);
        }
        _reserved -= uint128(held);
        emit TaskSettled(holding.sessionId, holding.taskId, payments, refunded);
    }

    /// @notice The current prices of a model, in wei per token; zeros if the model is not served.
    function modelPrice(uint256 modelIdentifier)
        external
        view
        returns (uint256 inputPriceWei, uint256 outputPriceWei)
    {
        Price storage price = _prices[_priceIds[modelIdentifier]];
        return (price.inputPriceWei, price.outputPriceWei);
    }

    /// @notice The amount that a task with these terms reserves until it is settled, in wei.
    function worstCaseOf(uint256 priceId, uint256 redundancy, uint256 maxInputTokens, uint256 maxTokens)
        public
        view
        returns (uint256)
    {
        Price storage price = _prices[priceId];
        return redundancy * (maxInputTokens * price.inputPriceWei + maxTokens * price.outputPriceWei);
    }

    function totalDeposited() external view returns (uint256) {
        return _deposited;
    }

    function totalBalance() external view returns (uint256) {
        return _balances;
    }

    function totalReserved() external view returns (uint256) {
        return _reserved;
    }

    function totalOwed() external view returns (uint256) {
        return _deposited - _balances - _reserved - _withdrawn;
    }

    function totalWithdrawn() external view returns (uint256) {
        return _withdrawn;
    }

    function _setDefaultModel(uint256 modelIdentifier) private {
        defaultModel = modelIdentifier;
        emit DefaultModelSet(modelIdentifier);
    }

    function _deposit(uint256 sessionId, uint256 amount) private {
        if (!session.doesSessionExist(sessionId)) revert SessionNotFound(sessionId);
        // Count the tokens that arrived, since a token may deduct a fee. All functions that move tokens are
        // nonReentrant, so a token that calls back cannot make them be counted twice.
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received == 0) revert ZeroAmount();
        uint128 received128 = received.toUint128();
        sessionBalance[sessionId] += received;
        _deposited += received128;
        _balances += received128;
        emit SessionDeposited(sessionId, msg.sender, received);
    }

    function _withdrawOwed(address node) private {
        uint256 amount = owedTo[node];
        if (amount == 0) revert NothingOwed(node);
        owedTo[node] = 0;
        _withdrawn += amount.toUint128();
        emit NodeWithdrawn(node, amount);
        token.safeTransfer(node, amount);
    }

    function _takeFromBalance(uint256 sessionId, uint256 amount) private {
        uint256 available = sessionBalance[sessionId];
        if (amount > available) revert InsufficientSessionBalance(sessionId, amount, available);
        sessionBalance[sessionId] = available - amount;
    }
}
