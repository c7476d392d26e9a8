#include "data/samples/token_data.h"

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace rk {
namespace {

class BinidxTokens final : public TokenData {
 public:
  BinidxTokens(std::shared_ptr<const Binidx> data, bool with_marks) : shared_(std::move(data)), data_(*shared_) {
    if (with_marks) marks_.emplace(data_.prefix() + ".mask", data_.n_tokens());
  }
  std::string name() const override { return data_.prefix() + ".bin"; }
  int64_t n_tokens() const override { return data_.n_tokens(); }
  int64_t n_documents() const override { return data_.n_documents(); }
  void document_begins(int64_t first, std::span<int64_t> out) const override { data_.document_offsets(first, out); }
  void read(int64_t offset, std::span<int32_t> out, int64_t vocab) const override { data_.read_flat(offset, out, vocab); }
  bool has_marks() const override { return marks_.has_value(); }
  void read_marks(int64_t offset, std::span<uint8_t> out) const override {
    if (marks_) return marks_->read(offset, out);
    TokenData::read_marks(offset, out);
  }
  std::vector<std::string> files() const override {
    std::vector<std::string> all{data_.prefix() + ".bin", data_.prefix() + ".idx"};
    if (marks_) all.push_back(marks_->path());
    return all;
  }
  std::vector<std::string> warnings() const override { return data_.warnings(); }

 private:
  std::shared_ptr<const Binidx> shared_;
  const Binidx& data_;
  std::optional<TokenMarks> marks_;
};

class JoinedTokens final : public TokenData {
 public:
  explicit JoinedTokens(std::vector<SharedTokens> parts) : parts_(std::move(parts)) {
    for (const SharedTokens& part : parts_) {
      // Documents of the next part would begin behind tokens that belong to none.
      if (part->document_begin(part->n_documents()) != part->n_tokens())
        fail(cat(part->name(), ": holds tokens behind its last document, so it cannot be joined with other files; make its index again"));
      tokens_.push_back(tokens_.back() + part->n_tokens());
      documents_.push_back(documents_.back() + part->n_documents());
    }
  }
  std::string name() const override { return cat(parts_.front()->name(), " and ", parts_.size() - 1, " more"); }
  int64_t n_tokens() const override { return tokens_.back(); }
  int64_t n_documents() const override { return documents_.back(); }
  void document_begins(int64_t first, std::span<int64_t> out) const override {
    for (size_t p = part_at(documents_, first); !out.empty(); ++p) {
      if (p == parts_.size()) {
        out[0] = n_tokens();
        return;
      }
      const size_t n = std::min(out.size(), static_cast<size_t>(documents_[p + 1] - first));
      parts_[p]->document_begins(first - documents_[p], out.first(n));
      for (int64_t& begin : out.first(n)) begin += tokens_[p];
      out = out.subspan(n);
      first += static_cast<int64_t>(n);
    }
  }
  void read(int64_t offset, std::span<int32_t> out, int64_t vocab) const override {
    for_parts(offset, out, [&](const TokenData& part, int64_t at, std::span<int32_t> here) { part.read(at, here, vocab); });
  }
  bool has_marks() const override {
    return std::any_of(parts_.begin(), parts_.end(), [](const SharedTokens& part) { return part->has_marks(); });
  }
  void read_marks(int64_t offset, std::span<uint8_t> out) const override {
    for_parts(offset, out, [](const TokenData& part, int64_t at, std::span<uint8_t> here) { part.read_marks(at, here); });
  }
  bool is_one_document() const override {  // each of the files
    return std::all_of(parts_.begin(), parts_.end(), [](const SharedTokens& part) { return part->is_one_document(); });
  }
  std::vector<std::string> files() const override { return gather(&TokenData::files); }
  std::vector<std::string> warnings() const override { return gather(&TokenData::warnings); }

 private:
  // The part in which entry i of all lies; empty parts have none.
  static size_t part_at(const std::vector<int64_t>& begins, int64_t i) {
    return static_cast<size_t>(std::upper_bound(begins.begin(), begins.end(), i) - begins.begin()) - 1;
  }
  template <class T, class Read>
  void for_parts(int64_t offset, std::span<T> out, Read&& read) const {
    if (offset < 0 || std::ssize(out) > n_tokens() - offset) fail(cat(name(), ": there are no tokens behind its ", n_tokens()));
    for (size_t p = part_at(tokens_, offset); !out.empty(); ++p) {
      const size_t n = std::min(out.size(), static_cast<size_t>(tokens_[p + 1] - offset));
      read(*parts_[p], offset - tokens_[p], out.first(n));
      out = out.subspan(n);
      offset += static_cast<int64_t>(n);
    }
  }
  std::vector<std::string> gather(std::vector<std::string> (TokenData::*list)() const) const {
    std::vector<std::string> all;
    for (const SharedTokens& part : parts_)
      for (std::string& one : (part.get()->*list)()) all.push_back(std::move(one));
    return all;
  }

  std::vector<SharedTokens> parts_;
  std::vector<int64_t> tokens_{0}, documents_{0};  // of the parts before
};

class FirstDocuments final : public TokenData {
 public:
  FirstDocuments(SharedTokens data, int64_t n) : data_(std::move(data)), n_documents_(n), n_tokens_(data_->document_begin(n)) {}
  std::string name() const override { return data_->name(); }
  int64_t n_tokens() const override { return n_tokens_; }
  int64_t n_documents() const override { return n_documents_; }
  void document_begins(int64_t first, std::span<int64_t> out) const override { data_->document_begins(first, out); }
  void read(int64_t offset, std::span<int32_t> out, int64_t vocab) const override { data_->read(offset, out, vocab); }
  bool has_marks() const override { return data_->has_marks(); }
  void read_marks(int64_t offset, std::span<uint8_t> out) const override { data_->read_marks(offset, out); }
  std::vector<std::string> files() const override { return data_->files(); }
  std::vector<std::string> warnings() const override { return data_->warnings(); }

 private:
  SharedTokens data_;
  int64_t n_documents_, n_tokens_;
};

}  // namespace

void TokenData::read_marks(int64_t, std::span<uint8_t> out) const { std::fill(out.begin(), out.end(), uint8_t{1}); }

int64_t TokenData::document_begin(int64_t d) const {
  int64_t begin;
  document_begins(d, {&begin, 1});
  return begin;
}

int64_t TokenData::document_size(int64_t d) const {
  int64_t begin[2];
  document_begins(d, begin);
  return begin[1] - begin[0];
}

int64_t TokenData::document_of(int64_t token) const {
  int64_t low = 0, high = n_documents() + 1;  // the first border behind the token lies in [low, high]
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (document_begin(middle) <= token) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

int64_t TokenData::largest_token() const {
  std::vector<int32_t> tokens(1 << 16);
  int32_t largest = -1;
  for (int64_t at = 0; at < n_tokens();) {
    const auto part = std::span(tokens).first(static_cast<size_t>(std::min<int64_t>(n_tokens() - at, std::ssize(tokens))));
    read(at, part, 0);
    largest = std::max(largest, *std::max_element(part.begin(), part.end()));
    at += std::ssize(part);
  }
  return largest;
}

SharedTokens binidx_tokens(std::shared_ptr<const Binidx> data) { return std::make_shared<BinidxTokens>(std::move(data), false); }

SharedTokens open_binidx_tokens(const std::string& prefix, bool with_marks) {
  return std::make_shared<BinidxTokens>(std::make_shared<const Binidx>(prefix), with_marks);
}

SharedTokens join_tokens(std::vector<SharedTokens> parts) {
  require(!parts.empty(), "there is something to join");
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_shared<JoinedTokens>(std::move(parts));
}

SharedTokens first_documents(SharedTokens data, int64_t n) {
  if (n >= data->n_documents()) return data;
  return std::make_shared<FirstDocuments>(std::move(data), n);
}

}  // namespace rk
