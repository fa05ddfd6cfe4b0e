// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../src/common/ContentAddress.sol";
import {Checks} from "./Vm.sol";

contract ContentAddressTest is Checks {
    function testFuzz_a_packed_address_comes_back(bytes32 digest) public pure {
        (bool packed, bytes32 again) = ContentAddress.pack(ContentAddress.unpack(digest));
        assertTrue(packed, "canonical");
        assertEq(again, digest, "digest");
    }

    /// @dev Whatever is packed must read back the same, or a client would see another text than was sent.
    function testFuzz_only_canonical_text_is_packed(uint256 place, bytes1 letter, bytes32 digest) public pure {
        bytes memory text = bytes(ContentAddress.unpack(digest));
        text[place % text.length] = letter;
        (bool packed, bytes32 again) = ContentAddress.pack(string(text));
        if (packed) assertEq(ContentAddress.unpack(again), string(text), "text");
    }

    function test_a_known_address_is_the_one_that_ipfs_gives() public pure {
        // The raw block "hello world".
        bytes32 digest = sha256("hello world");
        assertEq(
            ContentAddress.unpack(digest),
            "ipfs://bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
            "address"
        );
    }

    function test_other_texts_are_left_alone() public pure {
        string[4] memory texts = [
            "",
            "What is 6 times 7?",
            "ipfs://QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
            "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zz"
        ];
        for (uint256 i; i < texts.length; ++i) {
            (bool packed,) = ContentAddress.pack(texts[i]);
            assertTrue(!packed, texts[i]);
        }
    }
}
