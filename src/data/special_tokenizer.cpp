#include <algorithm>

#include "base/error.h"
#include "data/tokenizer.h"

namespace rk {
namespace {

class SpecialTokenizer final : public Tokenizer {
 public:
  SpecialTokenizer(std::shared_ptr<const Tokenizer> base, const std::map<std::string, int32_t>& specials)
      : base_(std::move(base)), specials_(specials.begin(), specials.end()) {
    if (specials_.empty()) fail("no special tokens are given");
    std::stable_sort(specials_.begin(), specials_.end(), [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
    for (const auto& [text, id] : specials_) {
      if (text.empty()) fail(cat("the special token with id ", id, " has no text"));
      if (id < 0 || id >= base_->vocab_size())
        fail(cat("special token '", text, "': id ", id, " is outside the vocabulary of ", base_->vocab_size()));
      last_bytes_[static_cast<uint8_t>(text.back())] = true;
    }
  }

  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    for (Found found; (found = find(bytes)).special != nullptr;) {
      base_->encode(bytes.substr(0, found.begin), ids);
      ids.push_back(found.special->second);
      bytes.remove_prefix(found.begin + found.special->first.size());
    }
    base_->encode(bytes, ids);
  }

  // Behind the last special text, which nothing that follows can change, and then where neither the base nor a special text that is
  // still incomplete reaches across.
  size_t split_point(std::string_view bytes) const override {
    size_t certain = 0;
    for (Found found; (found = find(bytes.substr(certain))).special != nullptr;) certain += found.begin + found.special->first.size();
    const std::string_view rest = bytes.substr(certain);
    const size_t open = specials_.front().first.size() - 1;
    return rest.size() <= open ? certain : certain + base_->split_point(rest.substr(0, rest.size() - open));
  }

  std::string_view bytes_of(int32_t id) const override {
    for (const Special& special : specials_) {
      if (special.second == id) return special.first;
    }
    return base_->bytes_of(id);
  }
  bool is_special(int32_t id) const override { return base_->is_special(id); }
  int64_t vocab_size() const override { return base_->vocab_size(); }
  int32_t end_of_document() const override { return base_->end_of_document(); }
  std::string name() const override { return base_->name(); }

 private:
  using Special = std::pair<std::string, int32_t>;
  struct Found {
    size_t begin = 0;
    const Special* special = nullptr;
  };

  // The special text that ends first; of several that end there, the longest.
  Found find(std::string_view bytes) const {
    for (size_t end = 1; end <= bytes.size(); ++end) {
      if (!last_bytes_[static_cast<uint8_t>(bytes[end - 1])]) continue;
      for (const Special& special : specials_) {
        if (bytes.substr(0, end).ends_with(special.first)) return {end - special.first.size(), &special};
      }
    }
    return {};
  }

  std::shared_ptr<const Tokenizer> base_;
  std::vector<Special> specials_;  // longest first
  bool last_bytes_[256] = {};
};

}  // namespace

std::unique_ptr<Tokenizer> make_special_tokenizer(std::shared_ptr<const Tokenizer> base, const std::map<std::string, int32_t>& specials) {
  return std::make_unique<SpecialTokenizer>(std::move(base), specials);
}

}  // namespace rk
