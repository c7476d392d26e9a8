// From a line of text to tokens, and which of them count in the loss.
#pragma once
#include <cstdint>
#include <memory>
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

// By options.data_type (jsonl, sft, sharegpt, alpaca), template_name, system_prompt, sft_field, loss_mask (roles; none and pad: everything
// counts; qa and se are made of tokens later), select_name. Refuses what does not go together.
std::unique_ptr<SampleEncoder> make_sample_encoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer);

}  // namespace rk
