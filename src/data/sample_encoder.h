// From a line of text to tokens, and which of them count in the loss.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_options.h"
#include "data/tokenizer.h"

namespace rk {

struct EncodedSample {
  std::vector<int32_t> tokens;   // end-of-document id included, where the format has one
  std::vector<uint8_t> counted;  // of each token: 1 = counts as a target
};

class SampleEncoder {
 public:
  virtual ~SampleEncoder() = default;
  // `line`: one JSON object without its line break. False: there is nothing to learn from it (no turn, nothing that counts), and it is
  // left out. What is wrong is a TextError with its offset in the line. Thread-safe.
  virtual bool encode(std::string_view line, EncodedSample& out) const = 0;
};

// By options.data_type:
// - jsonl: "text"; all of it counts, or with loss_mask roles what the assistant says ("Assistant:" behind an empty line, or
// mask_assistant),
//   or what select_name says. A token counts if it begins there. append_eod: the end-of-document id follows.
// - sharegpt, alpaca: conversations by template (empty: rwkv), system_prompt, tool_format; with loss_mask roles the answers count and what
//   ends them, otherwise everything.
// - sft: two fields (sft_field); RWKV-PEFT's prompt, or template. The answer counts, with loss_mask pad the question, too.
// loss_mask qa and se are made of tokens later. Conversations that are longer than a sample of dataload pad or only are shortened turn by
// turn (chat/labels.h). Refuses what does not go together.
std::unique_ptr<SampleEncoder> make_sample_encoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer);

// All of the options but the tokenizer that samples depend on, as one text: where it is equal, so are the samples.
std::string sample_identity(const DataOptions& options);

}  // namespace rk
