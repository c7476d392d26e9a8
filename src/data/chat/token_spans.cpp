#include "data/chat/token_spans.h"

#include "base/error.h"

namespace rk {
namespace {

// Where the bytes of each token begin, and the end of the last; empty where they are not the text's.
std::vector<size_t> token_borders(std::string_view text, std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  std::vector<size_t> borders{0};
  for (int32_t id : ids) {
    std::string_view bytes;
    try {
      bytes = tokenizer.bytes_of(id);
    } catch (const Error&) {  // a token without bytes
      return {};
    }
    if (text.substr(borders.back(), bytes.size()) != bytes) return {};
    borders.push_back(borders.back() + bytes.size());
  }
  return borders.back() == text.size() ? borders : std::vector<size_t>();
}

void encode_parts(std::string_view text, std::span<const ByteSpan> spans, const Tokenizer& tokenizer, EncodedSample& out) {
  out.tokens.clear(), out.counted.clear();
  const auto add = [&](size_t begin, size_t end, bool counts) {
    tokenizer.encode(text.substr(begin, end - begin), out.tokens);
    out.counted.resize(out.tokens.size(), counts);
  };
  size_t at = 0;
  for (const ByteSpan& span : spans) {
    add(at, span.begin, false);
    add(span.begin, span.end, true);
    at = span.end;
  }
  add(at, text.size(), false);
}

// The number of the character that holds each border: that of the character which begins there, or which it cuts.
std::vector<int64_t> characters_at(std::string_view text, std::span<const size_t> borders) {
  std::vector<int64_t> characters;
  int64_t begun = 0;  // characters that begin before `at`
  size_t at = 0;
  for (size_t border : borders) {
    for (; at < border; ++at) begun += (static_cast<uint8_t>(text[at]) & 0xC0) != 0x80;
    const bool inside = border < text.size() && (static_cast<uint8_t>(text[border]) & 0xC0) == 0x80;
    characters.push_back(begun - (inside ? 1 : 0));
  }
  return characters;
}

}  // namespace

void encode_spans(std::string_view text, std::span<const ByteSpan> spans, const Tokenizer& tokenizer, EncodedSample& out) {
  out.tokens.clear();
  tokenizer.encode(text, out.tokens);
  const std::vector<size_t> borders = token_borders(text, out.tokens, tokenizer);
  if (borders.empty()) return encode_parts(text, spans, tokenizer, out);
  out.counted.assign(out.tokens.size(), 0);
  auto span = spans.begin();
  for (size_t i = 0; i < out.tokens.size(); ++i) {
    while (span != spans.end() && borders[i] >= span->end) ++span;
    out.counted[i] = span != spans.end() && borders[i] >= span->begin;
  }
}

std::vector<CharacterRange> character_ranges(std::string_view text, std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  const std::vector<int64_t> characters = characters_at(text, token_borders(text, ids, tokenizer));
  std::vector<CharacterRange> ranges;
  for (size_t i = 0; i + 1 < characters.size(); ++i) ranges.push_back({characters[i], characters[i + 1]});
  return ranges;
}

void encode_script(std::string_view text, std::span<const ByteSpan> spans, const Tokenizer& tokenizer, EncodedSample& out) {
  out.tokens.clear();
  tokenizer.encode(text, out.tokens);
  const std::vector<CharacterRange> ranges = character_ranges(text, out.tokens, tokenizer);
  if (ranges.size() != out.tokens.size()) return encode_parts(text, spans, tokenizer, out);
  std::vector<size_t> borders;
  for (const ByteSpan& span : spans) borders.insert(borders.end(), {span.begin, span.end});
  const std::vector<int64_t> at = characters_at(text, borders);
  out.counted.assign(out.tokens.size(), 0);
  for (size_t i = 0, k = 0; i < ranges.size() && k < at.size(); ++i) {
    out.counted[i] = ranges[i].end > at[k] && ranges[i].begin < at[k + 1];
    if (ranges[i].begin >= at[k + 1] && k + 2 < at.size()) k += 2;
  }
}

}  // namespace rk
