#include "data/tokenizers/unicode.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "data/shipped_files.h"
#include "data/utf8.h"

namespace rk {
namespace {

using nlohmann::json;

// Hangul syllables are composed by arithmetic (Unicode 3.12).
constexpr char32_t syllable = 0xAC00, lead = 0x1100, vowel = 0x1161, tail = 0x11A7;
constexpr char32_t n_leads = 19, n_vowels = 21, n_tails = 28, n_syllables = n_leads * n_vowels * n_tails;

char32_t code_point_of(const std::string& key) { return static_cast<char32_t>(std::stoul(key)); }
uint64_t pair_of(char32_t first, char32_t second) { return uint64_t{first} << 32 | second; }

}  // namespace

UnicodeTables::UnicodeTables() {
  const json classes = json::parse(shipped_unicode_classes()), nfc = json::parse(shipped_unicode_nfc());
  std::vector<uint8_t> flat(0x110000, steady_bit);
  const auto set = [&](const char* name, CharClass value) {
    for (const json& range : classes.at(name))
      for (char32_t c = range.at(0); c <= range.at(1).get<char32_t>(); ++c) flat[c] |= static_cast<uint8_t>(value);
  };
  set("L", CharClass::letter);
  set("N", CharClass::number);
  set("white_space", CharClass::white_space);

  const auto unsteady = [&](char32_t c) { flat[c] &= static_cast<uint8_t>(~steady_bit); };
  for (const auto& [c, value] : nfc.at("ccc").items()) {
    combining_class_[code_point_of(c)] = value;
    unsteady(code_point_of(c));
  }
  for (const json& triple : nfc.at("comp")) {
    composition_[pair_of(triple.at(0), triple.at(1))] = triple.at(2);
    unsteady(triple.at(1));
  }
  for (char32_t c = vowel; c < vowel + n_vowels; ++c) unsteady(c);
  for (char32_t c = tail + 1; c < tail + n_tails; ++c) unsteady(c);
  for (const auto& [c, parts] : nfc.at("dec").items()) {
    const std::array<char32_t, 2> two{parts.at(0), parts.size() > 1 ? parts.at(1).get<char32_t>() : 0};
    decomposition_[code_point_of(c)] = two;
    if (two[1] == 0 || composed(two[0], two[1]) != code_point_of(c)) unsteady(code_point_of(c));
    if (combining_class_.contains(two[0])) unsteady(code_point_of(c));
  }

  std::map<std::string, uint16_t> known;
  for (size_t b = 0; b < block_of_.size(); ++b) {
    const std::string content(reinterpret_cast<const char*>(flat.data()) + b * block, block);
    const auto [entry, is_new] = known.try_emplace(content, static_cast<uint16_t>(known.size()));
    if (is_new) info_.insert(info_.end(), content.begin(), content.end());
    block_of_[b] = entry->second;
  }
}

uint8_t UnicodeTables::combining_class(char32_t c) const {
  const auto found = combining_class_.find(c);
  return found == combining_class_.end() ? 0 : found->second;
}

// The first part may be taken apart again, the second never.
void UnicodeTables::append_decomposed(char32_t c, std::vector<char32_t>& out) const {
  if (c >= syllable && c < syllable + n_syllables) {
    const char32_t s = c - syllable;
    out.push_back(lead + s / (n_vowels * n_tails));
    out.push_back(vowel + s / n_tails % n_vowels);
    if (s % n_tails != 0) out.push_back(tail + s % n_tails);
    return;
  }
  const size_t begin = out.size();
  for (auto parts = decomposition_.find(c); parts != decomposition_.end(); parts = decomposition_.find(c)) {
    if (parts->second[1] != 0) out.push_back(parts->second[1]);
    c = parts->second[0];
  }
  out.push_back(c);
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end());
}

char32_t UnicodeTables::composed(char32_t first, char32_t second) const {
  if (first >= lead && first < lead + n_leads && second >= vowel && second < vowel + n_vowels)
    return syllable + ((first - lead) * n_vowels + (second - vowel)) * n_tails;
  if (first >= syllable && first < syllable + n_syllables && (first - syllable) % n_tails == 0 && second > tail && second < tail + n_tails)
    return first + (second - tail);
  const auto found = composition_.find(pair_of(first, second));
  return found == composition_.end() ? 0 : found->second;
}

size_t NfcNormalizer::first_unsteady(std::string_view text, size_t from) const {
  for (size_t i = from; i < text.size();) {
    uint64_t word;
    if (i + sizeof word <= text.size() && (std::memcpy(&word, text.data() + i, sizeof word), (word & 0x8080808080808080u) == 0)) {
      i += sizeof word;  // ASCII is steady
      continue;
    }
    const ValidCodePoint c = valid_code_point(text.data() + i);
    if (!tables_.is_steady(c.value)) return i;
    i += static_cast<size_t>(c.n_bytes);
  }
  return text.size();
}

std::string_view NfcNormalizer::operator()(std::string_view text, std::string& out) {
  size_t at = first_unsteady(text, 0);
  if (at == text.size()) return text;
  out.clear();
  for (size_t done = 0;;) {
    // From the steady character in front of it, which may take it in, to the next one.
    size_t begin = at, end = at;
    while (begin > done && (static_cast<uint8_t>(text[--begin]) & 0xC0) == 0x80) {
    }
    while (end < text.size()) {
      const ValidCodePoint c = valid_code_point(text.data() + end);
      if (tables_.is_steady(c.value)) break;
      end += static_cast<size_t>(c.n_bytes);
    }
    out.append(text, done, begin - done);
    append_normal(text.substr(begin, end - begin), out);
    done = end;
    at = first_unsteady(text, end);
    if (at == text.size()) {
      out.append(text, done);
      return out;
    }
  }
}

void NfcNormalizer::append_normal(std::string_view part, std::string& out) {
  characters_.clear();
  for (size_t i = 0; i < part.size();) {
    const ValidCodePoint c = valid_code_point(part.data() + i);
    tables_.append_decomposed(c.value, characters_);
    i += static_cast<size_t>(c.n_bytes);
  }
  const auto by_class = [&](char32_t a, char32_t b) { return tables_.combining_class(a) < tables_.combining_class(b); };
  for (auto run = characters_.begin(); run != characters_.end();) {
    const auto is_starter = [&](char32_t c) { return tables_.combining_class(c) == 0; };
    run = std::find_if_not(run, characters_.end(), is_starter);
    const auto end = std::find_if(run, characters_.end(), is_starter);
    std::stable_sort(run, end, by_class);
    run = end;
  }
  constexpr int nothing = -1;
  size_t n = 0, starter = characters_.size();
  int last = nothing;  // combining class of the character between starter and here
  for (const char32_t c : characters_) {
    const int its = tables_.combining_class(c);
    if (starter < n && last < its) {
      if (const char32_t joined = tables_.composed(characters_[starter], c); joined != 0) {
        characters_[starter] = joined;
        continue;
      }
    }
    if (its == 0) starter = n;
    last = its == 0 ? nothing : its;
    characters_[n++] = c;
  }
  for (size_t i = 0; i < n; ++i) append_utf8(out, characters_[i]);
}

}  // namespace rk
