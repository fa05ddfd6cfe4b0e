// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";

/// @notice Points that a node has earned.
struct Credit {
    address node;
    uint96 points;
}

/// @title The reward pool, which pays network tasks epoch by epoch.
/// @notice Anyone can fund the pool. Only nodes can take tokens out, and only what they have earned. An epoch's budget
///         is set aside when its first points are earned, or when anyone opens the epoch. It is the amount that the
///         administrator fixed before the epoch began, or the whole pool if that is less. When the epoch is over, a
///         node can claim floor(points × budget / total points), without a time limit. Once all points are paid, the
///         remainder from rounding returns to the pool. The budget of an epoch without points returns when the next
///         epoch opens. At every block `funded = pool + owed + paid`, and the contract holds at least `pool + owed`
///         tokens: exactly that amount, unless an account transfers tokens to it directly. `owed` is the sum of the
///         budgets set aside.
/// @dev Example: with a budget of 1000 wei and three nodes with 1 point each, each node gets 333 wei, and 1 wei
///      returns to the pool.
contract NetworkRewards is RoleGuarded, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// @dev Two words: 128 + 128 and 96 + 96 + 8 bits. `held` is the unpaid part of the budget.
    struct Epoch {
        uint128 budget;
        uint128 held;
        uint96 points;
        uint96 paidPoints;
        bool opened;
    }

    /// @dev One word: a budget, and the first epoch that it applies to.
    struct Plan {
        uint128 budget;
        uint128 from;
    }

    uint256 public constant MIN_EPOCH_SECONDS = 60;
    /// @notice The most points of one credit. Larger credits are reduced to this.
    uint256 public constant MAX_CREDIT = 1e6;

    IERC20 public immutable token;
    uint256 public immutable epochSeconds;

    mapping(uint256 epoch => Epoch) private _epochs;
    mapping(uint256 epoch => mapping(address node => uint256)) public pointsOf;
    Plan private _plan;
    Plan private _nextPlan;
    uint256 private _latestOpened;

    uint128 private _pool;
    uint128 private _owed;
    uint128 private _funded;
    uint128 private _paid;

    event Funded(address indexed from, uint256 amount);
    event EpochBudgetSet(uint256 indexed fromEpoch, uint256 budget);
    event EpochOpened(uint256 indexed epoch, uint256 budget);
    event EpochReleased(uint256 indexed epoch, uint256 amount);
    event PointsEarned(uint256 indexed epoch, address indexed node, uint256 points);
    event RewardPaid(uint256 indexed epoch, address indexed node, uint256 amount);

    error EpochTooShort(uint256 given, uint256 least);
    error EpochNotOver(uint256 epoch, uint256 current);
    error NothingEarned(uint256 epoch, address node);
    error ZeroAmount();

    /// @param epochSeconds_ the length of an epoch in seconds; epoch n begins n × epochSeconds_ seconds after 1970
    constructor(Roles roles_, IERC20 token_, uint256 epochSeconds_) RoleGuarded(roles_) {
        if (epochSeconds_ < MIN_EPOCH_SECONDS) revert EpochTooShort(epochSeconds_, MIN_EPOCH_SECONDS);
        token = token_;
        epochSeconds = epochSeconds_;
    }

    /// @notice Adds the sender's tokens to the pool. The sender cannot take them back.
    function fund(uint256 amount) external nonReentrant {
        _fund(amount);
    }

    /// @notice Like `fund`, with the token's permit instead of an earlier `approve`.
    function fundWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        // Another account may have sent the permit first. This call then fails, but the allowance exists, and only the
        // allowance matters.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _fund(amount);
    }

    /// @notice Sets the budget of epochs from the next one on. The budget of the current epoch does not change.
    function setEpochBudget(uint256 budget) external onlyRole(RoleIds.ADMIN) {
        uint256 current = currentEpoch();
        if (current >= _nextPlan.from) _plan = _nextPlan;
        _nextPlan = Plan(budget.toUint128(), (current + 1).toUint128());
        emit EpochBudgetSet(current + 1, budget);
    }

    /// @notice Sets the current epoch's budget aside if that has not happened yet. Anyone may call it.
    function openEpoch() external {
        _open(currentEpoch());
    }

    /// @notice Credits nodes with points in the current epoch. A node's data never makes it revert.
    function credit(Credit[] calldata credits) external onlyRole(RoleIds.MODULE) {
        uint256 epoch = currentEpoch();
        _open(epoch);
        uint256 sum;
        for (uint256 i; i < credits.length; ++i) {
            uint256 points = Math.min(credits[i].points, MAX_CREDIT);
            if (points == 0) continue;
            sum += points;
            pointsOf[epoch][credits[i].node] += points;
            emit PointsEarned(epoch, credits[i].node, points);
        }
        // No overflow: 2^96 points would need more than 2^76 credits.
        _epochs[epoch].points += uint96(sum);
    }

    /// @notice Pays the sender its rewards for epochs that are over. This cannot be paused.
    function claim(uint256[] calldata epochs) external nonReentrant {
        _claim(msg.sender, epochs);
    }

    /// @notice Pays a node its rewards. Anyone may call it and pay the gas; the tokens go to the node.
    function claimFor(address node, uint256[] calldata epochs) external nonReentrant {
        _claim(node, epochs);
    }

    /// @notice The reward that a node can claim for an epoch, in wei. For the current epoch, the reward if it ended
    ///         now.
    function rewardOf(uint256 epoch, address node) external view returns (uint256) {
        return _rewardOf(_epochs[epoch], pointsOf[epoch][node]);
    }

    /// @notice An epoch's budget, the part of it that is not paid yet, and the points earned in it. Before the epoch is
    ///         opened, the budget is the most that it can be.
    function getEpoch(uint256 epoch)
        external
        view
        returns (bool opened, uint256 budget, uint256 held, uint256 points)
    {
        Epoch storage e = _epochs[epoch];
        return (e.opened, e.opened ? e.budget : _plannedFor(epoch), e.held, e.points);
    }

    /// @notice The tokens that are not set aside for any epoch.
    function totalPool() external view returns (uint256) {
        return _pool;
    }

    /// @notice The unpaid budgets of all opened epochs.
    function totalOwed() external view returns (uint256) {
        return _owed;
    }

    /// @notice The budget of an epoch under the latest plan.
    function plannedBudget() external view returns (uint256) {
        return _nextPlan.budget;
    }

    function totalFunded() external view returns (uint256) {
        return _funded;
    }

    function totalPaid() external view returns (uint256) {
        return _paid;
    }

    function currentEpoch() public view returns (uint256) {
        return block.timestamp / epochSeconds;
    }

    function _fund(uint256 amount) private {
        // Count the tokens that arrived, since a token may deduct a fee.
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received == 0) revert ZeroAmount();
        _funded += received.toUint128();
        _pool += received.toUint128();
        emit Funded(msg.sender, received);
    }

    function _open(uint256 epoch) private {
        Epoch storage e = _epochs[epoch];
        if (e.opened) return;
        Epoch storage previous = _epochs[_latestOpened];
        if (previous.points == 0) _release(_latestOpened, previous);
        _latestOpened = epoch;
        // The cast is safe: the budget is at most the pool, which is a uint128.
        uint128 budget = uint128(Math.min(_plannedFor(epoch), _pool));
        (e.opened, e.budget, e.held) = (true, budget, budget);
        _pool -= budget;
        _owed += budget;
        emit EpochOpened(epoch, budget);
    }

    /// @dev Returns the part of an epoch's budget to the pool that no node can claim any more.
    function _release(uint256 epoch, Epoch storage e) private {
        uint128 held = e.held;
        if (held == 0) return;
        e.held = 0;
        _owed -= held;
        _pool += held;
        emit EpochReleased(epoch, held);
    }

    function _claim(address node, uint256[] calldata epochs) private {
        uint256 current = currentEpoch();
        uint256 sum;
        for (uint256 i; i < epochs.length; ++i) {
            if (epochs[i] >= current) revert EpochNotOver(epochs[i], current);
            sum += _take(node, epochs[i]);
        }
        if (sum != 0) token.safeTransfer(node, sum);
    }

    function _take(address node, uint256 epoch) private returns (uint256 amount) {
        uint256 points = pointsOf[epoch][node];
        if (points == 0) revert NothingEarned(epoch, node);
        Epoch storage e = _epochs[epoch];
        amount = _rewardOf(e, points);
        delete pointsOf[epoch][node];
        // The casts are safe: a node's points are part of the total, and its reward is part of the budget.
        e.paidPoints += uint96(points);
        e.held -= uint128(amount);
        _owed -= uint128(amount);
        _paid += uint128(amount);
        emit RewardPaid(epoch, node, amount);
        if (e.paidPoints == e.points) _release(epoch, e);
    }

    function _plannedFor(uint256 epoch) private view returns (uint256) {
        return epoch >= _nextPlan.from ? _nextPlan.budget : _plan.budget;
    }

    /// @dev floor(budget × points / total points). Rounding favours the pool.
    function _rewardOf(Epoch storage e, uint256 points) private view returns (uint256) {
        return e.points == 0 ? 0 : Math.mulDiv(e.budget, points, e.points);
    }
}
