// Texts whose tokens are characters: data types utf-8, utf-16le and dummy of RWKV-LM (golden data §5.1).
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

enum class CharEncoding : uint8_t { utf8, utf16le };

// The characters of a file in pieces: strictly decoded, CR and CRLF as LF, a byte order mark kept. Errors name file and byte offset, an
// empty file is one.
void read_characters(const std::string& path, CharEncoding encoding, const std::function<void(std::span<const char32_t>)>& piece);

// ".a+b=c." for k = 0 .. 99999, with a = k mod 10000, b = k * k mod 10000, c = a + b.
std::string dummy_text();

}  // namespace rk
