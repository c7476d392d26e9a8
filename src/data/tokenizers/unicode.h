// What tokenizers need to know of Unicode characters, from the tables in configs/vocab: classes, and canonical composition (NFC).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rk {

enum class CharClass : uint8_t { other, letter, number, white_space };

class UnicodeTables {
 public:
  UnicodeTables();  // the tables inside this program

  CharClass class_of(char32_t c) const { return static_cast<CharClass>(info(c) & class_mask); }
  // In NFC already, and joined by nothing in front of it: a text may be normalised in two parts that are cut in front of such characters.
  bool is_steady(char32_t c) const { return (info(c) & steady_bit) != 0; }

  uint8_t combining_class(char32_t c) const;
  void append_decomposed(char32_t c, std::vector<char32_t>& out) const;  // canonical, full
  char32_t composed(char32_t first, char32_t second) const;              // 0: nothing

 private:
  static constexpr uint8_t class_mask = 3, steady_bit = 4;
  static constexpr char32_t block = 256;
  uint8_t info(char32_t c) const { return info_[block_of_[c / block] * block + c % block]; }

  std::array<uint16_t, 0x110000 / block> block_of_{};  // equal blocks are kept once
  std::vector<uint8_t> info_;
  std::unordered_map<char32_t, uint8_t> combining_class_;
  std::unordered_map<char32_t, std::array<char32_t, 2>> decomposition_;  // one level; of one character: the second is 0
  std::unordered_map<uint64_t, char32_t> composition_;
};

// The character at the start of valid UTF-8.
struct ValidCodePoint {
  char32_t value;
  int n_bytes;
};
inline ValidCodePoint valid_code_point(const char* at) {
  const auto byte = [at](int i) { return static_cast<char32_t>(static_cast<uint8_t>(at[i])); };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

class NfcNormalizer {
 public:
  explicit NfcNormalizer(const UnicodeTables& tables) : tables_(tables) {}
  // Of valid UTF-8; a text that is normal already is returned as it is, another one lies in `out`. Memory: what is not steady in a row.
  std::string_view operator()(std::string_view text, std::string& out);

 private:
  size_t first_unsteady(std::string_view text, size_t from) const;
  void append_normal(std::string_view part, std::string& out);

  const UnicodeTables& tables_;
  std::vector<char32_t> characters_;
};

}  // namespace rk
