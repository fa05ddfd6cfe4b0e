// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISession} from "./ISession.sol";
import {RoleGuarded, RoleIds, Roles} from "./Roles.sol";

/// @title The escrow: every wei that was deposited is in exactly one of four places.
/// @notice At every block `deposited = balances + reserved + owed + withdrawn`, and the contract holds at
///         least `balances + reserved + owed` tokens (exactly that, unless somebody sends it tokens unasked).
/// @dev Amounts are uint128 so that two share a word; deposits are cast with a check, and no other sum can
///      grow beyond the deposits.
contract SessionPayment is RoleGuarded, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// @dev What a task still holds and what it has paid. One word; deleted at settlement.
    struct Reservation {
        uint128 held;
        uint128 paid;
    }

    /// @dev One word; in wei for one token of the model.
    struct Price {
        uint128 inputPriceWei;
        uint128 outputPriceWei;
    }

    IERC20 public immutable token;

    ISession public session;

    mapping(uint256 sessionId => uint256) public sessionBalance;
    mapping(address node => uint256) public owedTo;
    mapping(uint256 sessionId => mapping(uint256 taskId => Reservation)) private _reservations;
    mapping(uint256 modelIdentifier => Price) private _prices;

    /// @dev `_balances` and `_reserved` change together at every submit and settlement: one word.
    uint128 private _balances;
    uint128 private _reserved;
    uint128 private _owed;
    uint128 private _withdrawn;
    uint128 private _deposited;

    event SessionDeposited(uint256 indexed sessionId, address indexed from, uint256 amount);
    event SessionWithdrawn(uint256 indexed sessionId, address indexed to, uint256 amount);
    event TaskReserved(uint256 indexed sessionId, uint256 indexed taskId, uint256 amount);
    event NodePaid(uint256 indexed sessionId, uint256 indexed taskId, address indexed node, uint256 amount);
    event TaskSettled(uint256 indexed sessionId, uint256 indexed taskId, uint256 paid, uint256 refunded);
    event NodeWithdrawn(address indexed node, uint256 amount);
    event ModelPriceSet(uint256 indexed modelIdentifier, uint256 inputPriceWei, uint256 outputPriceWei);
    event SessionContractSet(address session);

    error InsufficientSessionBalance(uint256 sessionId, uint256 needed, uint256 available);
    error InsufficientReservation(uint256 sessionId, uint256 taskId, uint256 needed, uint256 available);
    error NotSessionOwner(uint256 sessionId, address account);
    error NothingOwed(address node);
    error SessionAlreadySet(address session);
    error SessionNotFound(uint256 sessionId);
    error ZeroAmount();
    error ZeroPrice(uint256 modelIdentifier);

    constructor(Roles roles_, IERC20 token_) RoleGuarded(roles_) {
        token = token_;
    }

    /// @notice Tells the escrow where sessions live: once, after deployment.
    function setSession(ISession session_) external onlyRole(RoleIds.ADMIN) {
        if (address(session) != address(0)) revert SessionAlreadySet(address(session));
        session = session_;
        emit SessionContractSet(address(session_));
    }

    /// @notice Sets what a model's tokens cost, in wei a token, for tasks submitted from now on.
    function setModelPrice(uint256 modelIdentifier, uint256 inputPriceWei, uint256 outputPriceWei)
        external
        onlyRole(RoleIds.ADMIN)
    {
        // A price tells that the model is served at all (see Session.create), so it cannot be nothing.
        if (inputPriceWei == 0 && outputPriceWei == 0) revert ZeroPrice(modelIdentifier);
        _prices[modelIdentifier] = Price(inputPriceWei.toUint128(), outputPriceWei.toUint128());
        emit ModelPriceSet(modelIdentifier, inputPriceWei, outputPriceWei);
    }

    /// @notice Adds the sender's tokens to a session's balance; whoever pays, the session's owner disposes.
    function depositToSession(uint256 sessionId, uint256 amount) external nonReentrant {
        _deposit(sessionId, amount);
    }

    /// @notice The same with the token's permit in place of an earlier `approve`.
    function depositToSessionWithPermit(
        uint256 sessionId,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        // A permit that somebody else sent first has done its work: the allowance decides, not this call.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(sessionId, amount);
    }

    /// @notice The session's owner takes back what no task has reserved. Nothing can pause this.
    function withdrawFromSession(uint256 sessionId, uint256 amount) external nonReentrant {
        if (session.ownerOf(sessionId) != msg.sender) revert NotSessionOwner(sessionId, msg.sender);
        if (amount == 0) revert ZeroAmount();
        _takeFromBalance(sessionId, amount);
        _balances -= amount.toUint128();
        _withdrawn += amount.toUint128();
        emit SessionWithdrawn(sessionId, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @notice A node takes all that it is owed. Nothing can pause this.
    function withdrawNodePayment() external nonReentrant {
        _withdrawOwed(msg.sender);
    }

    /// @notice Anyone may bear the gas of a node's withdrawal; the tokens go to the node itself.
    function withdrawNodePaymentFor(address node) external nonReentrant {
        _withdrawOwed(node);
    }

    /// @notice Moves a task's worst case from the session's balance to the task.
    function reserve(uint256 sessionId, uint256 taskId, uint256 amount) external onlyRole(RoleIds.MODULE) {
        _takeFromBalance(sessionId, amount);
        uint128 amount128 = amount.toUint128();
        _reservations[sessionId][taskId].held += amount128;
        _balances -= amount128;
        _reserved += amount128;
        emit TaskReserved(sessionId, taskId, amount);
    }

    /// @notice Credits a node from what its task holds; the node pulls it later.
    function pay(uint256 sessionId, uint256 taskId, address node, uint256 amount) external onlyRole(RoleIds.MODULE) {
        Reservation storage reservation = _reservations[sessionId][taskId];
        if (amount > reservation.held) {
            revert InsufficientReservation(sessionId, taskId, amount, reservation.held);
        }
        uint128 amount128 = amount.toUint128();
        reservation.held -= amount128;
        reservation.paid += amount128;
        owedTo[node] += amount;
        _reserved -= amount128;
        _owed += amount128;
        emit NodePaid(sessionId, taskId, node, amount);
    }

    /// @notice Closes a task: what it still holds returns to the session's balance.
    function settle(uint256 sessionId, uint256 taskId) external onlyRole(RoleIds.MODULE) {
        Reservation memory reservation = _reservations[sessionId][taskId];
        delete _reservations[sessionId][taskId];
        sessionBalance[sessionId] += reservation.held;
        _reserved -= reservation.held;
        _balances += reservation.held;
        emit TaskSettled(sessionId, taskId, reservation.paid, reservation.held);
    }

    /// @notice What a model's tokens cost now, in wei a token; zeros when the model is not served.
    function modelPrice(uint256 modelIdentifier)
        external
        view
        returns (uint256 inputPriceWei, uint256 outputPriceWei)
    {
        Price storage price = _prices[modelIdentifier];
        return (price.inputPriceWei, price.outputPriceWei);
    }

    /// @notice What a task holds now, in wei.
    function reservedOf(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return _reservations[sessionId][taskId].held;
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
        return _owed;
    }

    function totalWithdrawn() external view returns (uint256) {
        return _withdrawn;
    }

    function _deposit(uint256 sessionId, uint256 amount) private {
        if (!session.doesSessionExist(sessionId)) revert SessionNotFound(sessionId);
        // What arrived counts, not what was asked for: a token may keep a fee. The guard on every function
        // that moves tokens keeps a token that calls back from being counted twice.
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
        _owed -= amount.toUint128();
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
