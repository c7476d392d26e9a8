#include "data/samples/pile_list.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "data/sampling.h"

namespace rk {
namespace {

class ListedLayout final : public Layout {
 public:
  ListedLayout(const PileList& list, const RowRules& rules) : cumulative_(list.cumulative) {
    for (const SharedTokens& part : list.parts) {
      bases_.push_back(base_);
      base_ += part->n_tokens();
      windows_.push_back(make_window_layout(part, rules));
    }
  }
  int64_t n_rows() const override { return cumulative_.back(); }
  int64_t fill(int64_t index, const SampleRow& row) const override {
    const size_t p = static_cast<size_t>(std::upper_bound(cumulative_.begin(), cumulative_.end(), index) - cumulative_.begin());
    require(p < windows_.size(), "a place lies in the list");
    const int64_t before = p == 0 ? 0 : cumulative_[p - 1];
    return bases_[p] + windows_[p]->fill((index - before) % (cumulative_[p] - before), row);
  }

 private:
  std::vector<int64_t> cumulative_, bases_;
  std::vector<std::unique_ptr<Layout>> windows_;
  int64_t base_ = 0;
};

std::string existing_prefix(const std::string& prefix, const std::string& list) {
  namespace fs = std::filesystem;
  if (fs::exists(prefix + ".idx")) return prefix;
  const std::string beside = (fs::path(list).parent_path() / prefix).string();
  return fs::exists(beside + ".idx") ? beside : prefix;
}

}  // namespace

PileList open_pile_list(const std::string& path, int64_t ctx_len) {
  if (!std::filesystem::is_regular_file(path))
    fail(cat(path, ": --my_pile_version 2 needs a list here, a text file of lines PREFIX COUNT CUMULATIVE"));
  std::ifstream in(path);
  PileList list;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    std::istringstream words(line);
    std::string prefix, rest;
    int64_t count = 0, cumulative = 0;
    if (!(words >> prefix)) continue;
    if (!(words >> count >> cumulative) || words >> rest)
      fail(cat(path, ":", number, ": a line is PREFIX COUNT CUMULATIVE; found: ", line));
    const SharedTokens part = open_binidx_tokens(existing_prefix(prefix, path), false);
    if (count < 1 || count != part->n_tokens() - ctx_len) {
      fail(cat(path, ":", number, ": COUNT ", count, " is not the ", part->n_tokens(), " tokens of ", part->name(), " less --ctx_len ",
               ctx_len, "; it must be ", part->n_tokens() - ctx_len));
    }
    const int64_t before = list.parts.empty() ? 0 : list.total();
    if (cumulative != before + count)
      fail(cat(path, ":", number, ": CUMULATIVE ", cumulative, " is not the sum of the counts, ", before + count));
    list.parts.push_back(part);
    list.cumulative.push_back(cumulative);
  }
  if (list.parts.empty()) fail(cat(path, ": the list names no token files"));
  return list;
}

std::unique_ptr<Layout> make_listed_layout(const PileList& list, const RowRules& rules) {
  return std::make_unique<ListedLayout>(list, rules);
}

SampleOrder listed_order(const PileList& list, const OrderRequest& request) {
  const int64_t ctx_len = request.ctx_len;
  SampleOrder order{.n = std::max<int64_t>(1, list.total() / ctx_len),
                    .stride = ctx_len,
                    .n_random = n_random_places(list.total(), ctx_len),
                    .random_steps = request.random_steps,
                    .seed = request.seed};
  if (request.kind == OrderRequest::Kind::random) order.kind = SampleOrder::Kind::random;
  if (request.kind != OrderRequest::Kind::prime) return order;
  const int64_t prime = request.magic_prime != 0 ? request.magic_prime : automatic_prime(request.built_in_prime, list.total(), ctx_len);
  if (prime == 0) return order;
  order.kind = SampleOrder::Kind::prime;
  order.n = prime;
  return order;
}

}  // namespace rk
