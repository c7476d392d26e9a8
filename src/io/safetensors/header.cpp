#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "io/safetensors/safetensors.h"
#include "io/utf8.h"

namespace rk::safetensors {
namespace {

constexpr uint64_t max_header = 100'000'000;
constexpr size_t max_nesting = 64, max_rank = 32;

struct Name {
  DType dtype;
  const char* text;
};
constexpr Name names[] = {{DType::f64, "F64"}, {DType::f32, "F32"}, {DType::bf16, "BF16"},   {DType::f16, "F16"},
                          {DType::i64, "I64"}, {DType::i32, "I32"}, {DType::i16, "I16"},     {DType::i8, "I8"},
                          {DType::u8, "U8"},   {DType::u16, "U16"}, {DType::boolean, "BOOL"}};

// Takes the header's JSON as events, so that neither size nor depth of a hostile one costs memory.
class Events : public nlohmann::json_sax<nlohmann::json> {
 public:
  Events(const std::string& path, Header& header) : path_(path), header_(header) {}

  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("a truth value"); }
  bool number_float(double, const std::string& text) override { return other("the number " + printable(text)); }
  bool binary(nlohmann::json::binary_t&) override { return other("binary data"); }
  bool number_integer(int64_t v) override { return other(cat("the number ", v)); }

  bool number_unsigned(uint64_t v) override {
    if (skipping()) return true;
    if (!in_list_ || v > INT64_MAX) return other(cat("the number ", v));
    if (field_ == "shape" && entry_.info.shape.size() >= max_rank) refuse(cat("has more than ", max_rank, " dimensions"));
    if (field_ == "data_offsets" && offsets_.size() >= 2) refuse("has more than two data_offsets");
    if (field_ == "shape") entry_.info.shape.push_back(static_cast<int64_t>(v));
    if (field_ == "data_offsets") offsets_.push_back(v);
    return true;
  }

  bool string(std::string& v) override {
    if (skipping()) return true;
    if (level_ == 2 && in_metadata_) {
      header_.metadata[field_] = v;
    } else if (level_ == 2 && field_ == "dtype") {
      entry_.info.dtype = dtype_of(v);
    } else {
      return other("the text '" + printable(v) + "'");
    }
    return true;
  }

  bool key(std::string& v) override {
    if (skipping()) return true;
    if (level_ == 1) {
      name_ = v;
      in_metadata_ = v == "__metadata__";
      if (!seen_.insert(v).second) fail(cat(path_, ": tensor ", printable(v), " is there twice"));
    } else {
      field_ = v;
      if (!in_metadata_ && !given_.insert(v).second) refuse(cat("has two fields ", printable(v)));
    }
    return true;
  }

  bool start_object(size_t) override {
    if (++nesting_ > max_nesting) fail(cat(path_, ": its header is nested more than ", max_nesting, " deep"));
    if (skipping()) return true;
    if (level_ == 0 || level_ == 1) {
      ++level_;
      if (level_ == 2) begin_entry();
      return true;
    }
    return start_skipping("an object");
  }

  bool end_object() override {
    --nesting_;
    if (stop_skipping() || skipping()) return true;
    if (level_ == 2 && !in_metadata_) end_entry();
    --level_;
    return true;
  }

  bool start_array(size_t) override {
    if (++nesting_ > max_nesting) fail(cat(path_, ": its header is nested more than ", max_nesting, " deep"));
    if (skipping()) return true;
    const bool wanted = level_ == 2 && !in_metadata_ && !in_list_ && (field_ == "shape" || field_ == "data_offsets");
    if (!wanted) return start_skipping("a list");
    return in_list_ = true;
  }

  bool end_array() override {
    --nesting_;
    if (stop_skipping() || skipping()) return true;
    in_list_ = false;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(cat(path_, ": its header is not valid JSON at byte ", 8 + position));
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { fail(cat(path_, ": tensor ", printable(name_), " ", why)); }
  bool skipping() const { return skip_from_ > 0; }
  bool known(const std::string& field) const { return field == "dtype" || field == "shape" || field == "data_offsets"; }

  // A value that is none of those the format knows: allowed only as a further field of a tensor.
  bool other(const std::string& what) {
    if (skipping() || (level_ == 2 && !in_metadata_ && !in_list_ && !known(field_))) return true;
    if (level_ == 0) fail(cat(path_, ": its header is ", what, ", not an object"));
    if (level_ == 1) refuse(cat("is ", what, ", not an object"));
    if (in_metadata_) fail(cat(path_, ": metadata ", printable(field_), " is ", what, ", not a text"));
    refuse(cat("has ", what, in_list_ ? " in its " : " as its ", field_));
  }
  bool start_skipping(const char* what) {
    other(what);
    skip_from_ = nesting_;
    return true;
  }
  bool stop_skipping() {
    if (skip_from_ == 0 || nesting_ >= skip_from_) return false;
    skip_from_ = 0;
    return true;
  }

  DType dtype_of(const std::string& text) const {
    for (const Name& n : names)
      if (text == n.text) return n.dtype;
    refuse(cat("has dtype ", printable(text), ", which is not supported"));
  }

  void begin_entry() {
    entry_ = {};
    entry_.info.name = name_;
    given_.clear();
    offsets_.clear();
    field_.clear();
  }

  void end_entry() {
    for (const char* field : {"dtype", "shape", "data_offsets"})
      if (given_.count(field) == 0) refuse(cat("has no ", field));
    if (offsets_.size() != 2) refuse(cat("has ", offsets_.size(), " data_offsets instead of two"));
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    check_size();
    header_.entries.push_back(std::move(entry_));
  }

  void check_size() const {
    uint64_t n = size_of(entry_.info.dtype);
    bool overflow = false;
    for (int64_t s : entry_.info.shape) overflow = __builtin_mul_overflow(n, static_cast<uint64_t>(s), &n) || overflow;
    if (overflow || n > INT64_MAX) refuse("has a size that exceeds 64 bits");
    if (entry_.begin > entry_.end || entry_.end - entry_.begin != n)
      refuse(cat("needs ", n, " bytes, its data_offsets are ", entry_.begin, " and ", entry_.end));
  }

  const std::string& path_;
  Header& header_;
  int level_ = 0;  // 1: the header, 2: a tensor or the metadata
  size_t nesting_ = 0, skip_from_ = 0;
  bool in_metadata_ = false, in_list_ = false;
  std::string name_, field_;
  std::set<std::string> seen_, given_;
  std::vector<uint64_t> offsets_;
  Entry entry_;
};

void check_tiling(const std::string& path, const Header& header, uint64_t n_bytes) {
  std::vector<const Entry*> order;
  for (const Entry& e : header.entries) order.push_back(&e);
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
  uint64_t at = 0;
  for (const Entry* e : order) {
    if (e->begin != at)
      fail(cat(path, ": tensor ", printable(e->info.name), " starts at data offset ", e->begin, ", where ", at,
               " was expected: tensors overlap or leave a gap"));
    at = e->end;
  }
  if (at != n_bytes)
    fail(cat(path, ": its tensors need ", at, " bytes of data, the file holds ", n_bytes, at > n_bytes ? ": it is truncated" : ""));
}

}  // namespace

Header parse_header(const std::string& path, std::span<const std::byte> file) {
  uint64_t n = 0;
  if (file.size() < sizeof n) fail(cat(path, ": a safetensors file has at least 8 bytes, this one has ", file.size()));
  std::memcpy(&n, file.data(), sizeof n);
  if (n > max_header) fail(cat(path, ": its header declares ", n, " bytes, at most ", max_header, " are accepted"));
  if (n > file.size() - 8) fail(cat(path, ": its header declares ", n, " bytes, the file has ", file.size() - 8, " after the length"));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, n);
  if (n == 0 || text[0] != '{') fail(cat(path, ": its header does not start with '{'"));
  Header header;
  header.data = 8 + n;
  Events events(path, header);
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);
  check_tiling(path, header, file.size() - header.data);
  return header;
}

const char* dtype_name(DType t) {
  for (const Name& n : names)
    if (t == n.dtype) return n.text;
  broken_promise("every dtype has a name in safetensors", Where::here());
}

}  // namespace rk::safetensors
