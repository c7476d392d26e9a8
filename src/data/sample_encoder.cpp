#include "data/sample_encoder.h"

#include "base/error.h"
#include "data/json_text.h"

namespace rk {
namespace {

// The text of a line, all of it counted.
class TextEncoder : public SampleEncoder {
 public:
  TextEncoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)), append_eod_(options.append_eod) {}

  bool encode(std::string_view line, EncodedSample& out) const override {
    std::string unescaped;
    out.tokens.clear();
    tokenizer_->encode(json_text(line, "text", unescaped), out.tokens);
    if (append_eod_) out.tokens.push_back(tokenizer_->end_of_document());
    out.counted.assign(out.tokens.size(), 1);
    return !out.tokens.empty();
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool append_eod_;
};

}  // namespace

std::unique_ptr<SampleEncoder> make_sample_encoder(const DataOptions& options, std::shared_ptr<const Tokenizer> tokenizer) {
  if (options.data_type == "jsonl") return std::make_unique<TextEncoder>(options, std::move(tokenizer));
  fail(cat("--data_type ", options.data_type, " is not text that becomes samples line by line; jsonl is"));
}

}  // namespace rk
