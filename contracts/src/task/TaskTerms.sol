// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Boards} from "./Board.sol";
import {ContentAddress} from "../common/ContentAddress.sol";
import {Words} from "../common/Words.sol";

/// @title A task's terms, packed into 160 bits, and the digest of everything that a task specifies.
/// @notice The digest is `keccak256(abi.encode(sid, taskId, content, terms, rest))`. It is computed from values that
///         the queue stores, so it needs no storage of its own.
/// @dev From the high bits down: promptType 8, timeout 16, maxInputTokens 24 (20 are used, see Board), maxTokens 24,
///      temperature 16, topP 16, topK 24, presencePenalty 16, frequencyPenalty 16.
library TaskTerms {
    uint256 internal constant MIN_TIMEOUT = 5;
    uint256 internal constant MAX_TIMEOUT = 3600;
    uint256 internal constant DEFAULT_TIMEOUT = 60;
    /// @dev The number of LLM parameters in the terms. Further ones are part of `rest`.
    uint256 private constant KNOWN_LLM_PARAMS = 6;
    uint256 private constant KNOWN_REQUEST_PARAMS = 1;

    error OutOfRange(bytes32 field, uint256 value, uint256 most);

    /// @return refusal an encoded OutOfRange if a value does not fit; otherwise empty
    /// @return terms the packed terms
    function pack(
        uint256 promptType_,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams,
        uint256 maxInputTokens_
    ) internal pure returns (bytes memory refusal, uint256 terms) {
        if (promptType_ >> 8 != 0) return (_outOfRange("promptType", promptType_, 8), 0);
        if (maxInputTokens_ >> Boards.MAX_INPUT_TOKENS_BITS != 0) {
            return (_outOfRange("maxInputTokens", maxInputTokens_, Boards.MAX_INPUT_TOKENS_BITS), 0);
        }
        terms = (promptType_ << 16) | _timeoutOf(requestParams);
        terms = (terms << 24) | maxInputTokens_;
        // Pack three values at a time: a wide one (maxTokens, topK) and two others. A loop over the six would cost
        // every task 1,200 gas more.
        (uint256 first, uint256 second, uint256 third) =
            (_paramAt(llmParams, 0), _paramAt(llmParams, 1), _paramAt(llmParams, 2));
        if ((first >> 24) | (second >> 16) | (third >> 16) != 0) return (_firstTooLarge(llmParams), 0);
        terms = (((terms << 24) | first) << 32) | (second << 16) | third;
        (first, second, third) = (_paramAt(llmParams, 3), _paramAt(llmParams, 4), _paramAt(llmParams, 5));
        if ((first >> 24) | (second >> 16) | (third >> 16) != 0) return (_firstTooLarge(llmParams), 0);
        terms = (((terms << 24) | first) << 32) | (second << 16) | third;
    }

    /// @return rest the hash of everything that is not part of the terms; 0 if there is nothing else
    function restOf(
        string calldata promptTemplate,
        string calldata clientReference,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) internal pure returns (bytes32 rest) {
        if (
            bytes(promptTemplate).length == 0 && bytes(clientReference).length == 0
                && llmParams.length <= KNOWN_LLM_PARAMS && requestParams.length <= KNOWN_REQUEST_PARAMS
        ) return 0;
        return keccak256(
            abi.encode(
                keccak256(bytes(promptTemplate)),
                keccak256(bytes(clientReference)),
                _hashFrom(llmParams, KNOWN_LLM_PARAMS),
                _hashFrom(requestParams, KNOWN_REQUEST_PARAMS)
            )
        );
    }

    /// @return isText whether `taskData` is a plain text, not a content address
    /// @return content the digest in the content address; for a plain text, its hash
    function contentOf(string calldata taskData) internal pure returns (bool isText, bytes32 content) {
        bool packed;
        if (bytes(taskData).length == ContentAddress.LENGTH) (packed, content) = ContentAddress.pack(taskData);
        if (!packed) return (true, keccak256(bytes(taskData)));
    }

    function digestOf(bytes32 sid, uint256 taskId, bytes32 content, uint256 terms, bytes32 rest)
        internal
        pure
        returns (bytes32)
    {
        return Words.hash5(sid, taskId, uint256(content), bytes32(terms), rest);
    }

    function promptType(uint256 terms) internal pure returns (uint256) {
        return terms >> 152;
    }

    function timeout(uint256 terms) internal pure returns (uint256) {
        return (terms >> 136) & 0xffff;
    }

    function maxInputTokens(uint256 terms) internal pure returns (uint256) {
        return (terms >> 112) & 0xffffff;
    }

    function withoutMaxInputTokens(uint256 terms) internal pure returns (uint256) {
        return terms & ~(uint256(0xffffff) << 112);
    }

    /// @param terms the terms without maxInputTokens
    function withMaxInputTokens(uint256 terms, uint256 maxInputTokens_) internal pure returns (uint256) {
        return terms | (maxInputTokens_ << 112);
    }

    function maxTokens(uint256 terms) internal pure returns (uint256) {
        return (terms >> 88) & 0xffffff;
    }

    function temperature(uint256 terms) internal pure returns (uint256) {
        return (terms >> 72) & 0xffff;
    }

    function topP(uint256 terms) internal pure returns (uint256) {
        return (terms >> 56) & 0xffff;
    }

    function topK(uint256 terms) internal pure returns (uint256) {
        return (terms >> 32) & 0xffffff;
    }

    function presencePenalty(uint256 terms) internal pure returns (uint256) {
        return (terms >> 16) & 0xffff;
    }

    function frequencyPenalty(uint256 terms) internal pure returns (uint256) {
        return terms & 0xffff;
    }

    /// @dev A parameter beyond the end of the list is 0.
    function _paramAt(uint256[] calldata llmParams, uint256 i) private pure returns (uint256) {
        return i < llmParams.length ? llmParams[i] : 0;
    }

    /// @dev The error for the first value that does not fit. The list must contain one.
    function _firstTooLarge(uint256[] calldata llmParams) private pure returns (bytes memory refusal) {
        for (uint256 i; refusal.length == 0; ++i) {
            uint256 width = i == 0 || i == 3 ? 24 : 16;
            if (llmParams[i] >> width != 0) refusal = _outOfRange("llmParams", llmParams[i], width);
        }
    }

    function _timeoutOf(uint256[] calldata requestParams) private pure returns (uint256 seconds_) {
        seconds_ = requestParams.length == 0 ? 0 : requestParams[0];
        if (seconds_ == 0) return DEFAULT_TIMEOUT;
        if (seconds_ < MIN_TIMEOUT) return MIN_TIMEOUT;
        if (seconds_ > MAX_TIMEOUT) return MAX_TIMEOUT;
    }

    /// @dev The keccak256 hash of a list's words from index `start` on.
    function _hashFrom(uint256[] calldata list, uint256 start) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(list[list.length < start ? list.length : start:]));
    }

    function _outOfRange(bytes32 field, uint256 value, uint256 bits) private pure returns (bytes memory) {
        return abi.encodeWithSelector(OutOfRange.selector, field, value, (1 << bits) - 1);
    }
}
