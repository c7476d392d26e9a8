// Files of configs/vocab that this program carries.
#pragma once
#include <string_view>

namespace rk {

std::string_view shipped_world_vocab();      // rwkv_vocab_v20230424.txt
std::string_view shipped_neox_tokenizer();   // 20B_tokenizer.json
std::string_view shipped_unicode_nfc();      // unicode_nfc_tables.json
std::string_view shipped_unicode_classes();  // unicode_regex_classes.json

}  // namespace rk
