// Which tokens of a text lie in parts of it.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/chat/speakers.h"
#include "data/sample_encoder.h"
#include "data/tokenizer.h"

namespace rk {

// Encodes the text as one and counts each token that begins inside one of the spans, which do not overlap and are in order: a token that
// begins in front of a span and reaches into it does not count, one that reaches out of it does. Where the tokens' bytes are not the
// text's (a tokenizer that normalises, or has tokens without bytes), the parts inside and outside of spans are encoded each alone.
void encode_spans(std::string_view text, std::span<const ByteSpan> spans, const Tokenizer& tokenizer, EncodedSample& out);

// TrainChatGalRWKV's rule: by characters, and a token counts if it overlaps the span at hand; once a token begins behind that span, the
// next one is at hand for the tokens that follow, one span a token. A token that begins or ends inside a character has that character's
// number for it.
void encode_script(std::string_view text, std::span<const ByteSpan> spans, const Tokenizer& tokenizer, EncodedSample& out);

// Characters [begin, end) as that rule sees them.
struct CharacterRange {
  int64_t begin = 0, end = 0;
};
std::vector<CharacterRange> character_ranges(std::string_view text, std::span<const int32_t> ids, const Tokenizer& tokenizer);

}  // namespace rk
