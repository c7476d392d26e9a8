// UTF-8 in file headers.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace rk {

bool is_utf8(std::string_view bytes);
std::string utf8_from_latin1(std::string_view bytes);
// The bytes that UTF-8 text would be in Latin-1. False: some character has no place there.
bool latin1_from_utf8(std::string_view text, std::string& bytes);

// A foreign text for people: at most `max_bytes`, without control characters or broken UTF-8.
std::string printable(std::string_view bytes, size_t max_bytes = 120);

}  // namespace rk
