#include "data/samples/opened.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/samples/array_tokens.h"
#include "data/samples/data_files.h"
#include "data/samples/prepared.h"
#include "data/samples/row.h"
#include "data/sampling.h"

namespace rk {
namespace {

// The data behind one path.
struct Opened {
  SharedTokens tokens;
  int64_t vocabulary = 0;  // 0 = the largest token decides
  std::vector<std::string> remarks;
};

Opened open_prepared(const PreparedFile& file, const std::string& side) {
  const PreparedRecord record = read_record(file, side);
  return {open_binidx_tokens(file.prefix + side, record.marks), record.vocabulary, record.remarks};
}

// split: "-train" or "-val" where val_split divides the data, else empty.
Opened open_path(const DataOptions& options, const std::string& path, const std::string& folder, const std::string& split) {
  if (options.data_type == "numpy") return {open_numpy_tokens(path), 0, {}};
  if (options.data_type == "uint16") return {open_uint16_rows(path, options.my_sample_len), 0, {}};
  std::string prefix = path;
  if (is_text(options)) {
    const PreparedFile file = prepared_text(options, path, folder);
    if (split.empty()) return open_prepared(file, {});
    prefix = file.prefix;
  }
  if (!split.empty()) return open_prepared(prepared_split(options, prefix, folder), split);
  return {open_binidx_tokens(path, options.loss_mask == "roles"), 0, {}};
}

// All paths of an option; what they bring along goes to `all`.
std::vector<SharedTokens> open_paths(const DataOptions& options, const std::string& value, const char* option, const std::string& folder,
                                     const std::string& split, OpenedData& all) {
  std::vector<SharedTokens> parts;
  for (const std::string& path : data_paths(options, value, option)) {
    Opened opened = open_path(options, path, folder, split);
    all.vocabulary = std::max(all.vocabulary, opened.vocabulary);
    all.remarks.insert(all.remarks.end(), opened.remarks.begin(), opened.remarks.end());
    parts.push_back(std::move(opened.tokens));
  }
  return parts;
}

void open_training(const DataOptions& o, const std::string& folder, OpenedData& all) {
  if (o.my_pile_version == 2) {
    all.list = open_pile_list(o.data_file, o.ctx_len);
    all.sources = {join_tokens(all.list->parts)};
    all.weights = {1};
    return;
  }
  std::vector<SharedTokens> parts = open_paths(o, o.data_file, "data_file", folder, o.val_split > 0 ? "-train" : "", all);
  all.weights = data_weights(o, parts.size());
  if (all.weights.empty()) {
    parts = {join_tokens(std::move(parts))};
    all.weights = {1};
    if (o.max_train_samples > 0) parts = {first_documents(parts.front(), o.max_train_samples)};
  } else if (o.max_train_samples > 0) {
    fail("--max_train_samples does not go with --data_weights, which say how often each file is used");
  }
  all.sources = std::move(parts);
  if (!o.instruct_data_file.empty()) {
    const double rest = std::accumulate(all.weights.begin(), all.weights.end(), 0.0) / (1 - o.instruct_data_ratio);
    all.weights.push_back(rest * o.instruct_data_ratio);
    all.sources.push_back(join_tokens(open_paths(o, o.instruct_data_file, "instruct_data_file", folder, {}, all)));
  }
  if (o.my_qa_mask > 0) all.pile = join_tokens(open_paths(o, o.my_qa_pile, "my_qa_pile", folder, {}, all));
}

void open_validation(const DataOptions& o, const std::string& folder, OpenedData& all) {
  if (o.val_split == 0 && o.val_file.empty()) return;
  OpenedData unused;  // what val_split's files say is known from the other side
  all.validation = join_tokens(o.val_split > 0 ? open_paths(o, o.data_file, "data_file", folder, "-val", unused)
                                               : open_paths(o, o.val_file, "val_file", folder, {}, all));
  if (o.max_eval_samples > 0) all.validation = first_documents(all.validation, o.max_eval_samples);
}

// Document numbers by length, equal ones in their order.
std::shared_ptr<const std::vector<int64_t>> by_length(const TokenData& data, bool long_first) {
  std::vector<int64_t> sizes(static_cast<size_t>(data.n_documents()) + 1);
  data.document_begins(0, sizes);
  for (size_t d = 0; d + 1 < sizes.size(); ++d) sizes[d] = sizes[d + 1] - sizes[d];
  auto order = std::make_shared<std::vector<int64_t>>(static_cast<size_t>(data.n_documents()));
  std::iota(order->begin(), order->end(), 0);
  std::stable_sort(order->begin(), order->end(), [&](int64_t a, int64_t b) {
    const int64_t left = sizes[static_cast<size_t>(a)], right = sizes[static_cast<size_t>(b)];
    return long_first ? left > right : left < right;
  });
  return order;
}

bool has_targets(const TokenData& data) {
  for (int64_t d = 0; d < data.n_documents(); ++d)
    if (data.document_size(d) > 1) return true;
  return false;
}

std::unique_ptr<BatchSource> qa_source(const OpenedData& data, const SampleSettings& settings, const RowRules& rules) {
  const SharedTokens& main = data.sources.front();
  window_order(*data.pile, {.kind = OrderRequest::Kind::random, .ctx_len = rules.ctx_len});  // refuses a pile that is too small
  return make_qa_pile_source({.main = make_window_layout(main, rules),
                              .pile = make_window_layout(data.pile, rules),
                              .order = window_order(*main, settings.order),
                              .n_random = n_random_places(data.pile->n_tokens(), rules.ctx_len),
                              .main_tokens = main->n_tokens(),
                              .seed = settings.order.seed,
                              .masked = settings.masked_qa});
}

}  // namespace

std::string cut_documents(const TokenData& data, int64_t ctx_len) {
  int64_t n = 0, tokens = 0;
  for (BorderWalk<4096> walk(data, 0); !walk.done(); walk.advance()) {
    const int64_t over = walk.end() - walk.begin() - (ctx_len + 1);
    if (over > 0) ++n, tokens += over;
  }
  if (n == 0) return {};
  return cat("warning: ", data.name(), ": ", n, " of ", data.n_documents(), " documents are longer than a sample, and their last ", tokens,
             " of ", data.n_tokens(), " tokens are not used; use a larger --ctx_len, or --dataload pack");
}

OpenedData open_files(const DataOptions& options, const std::string& folder) {
  OpenedData all;
  open_training(options, folder, all);
  open_validation(options, folder, all);
  if (options.magic_prime == 0) return all;
  if (all.sources.size() > 1) fail("--magic_prime is of one text; data that is mixed has an order for each part: leave it out, or give 0");
  check_magic_prime(options.magic_prime, all.list ? all.list->total() : all.sources.front()->n_tokens(), options.ctx_len);
  return all;
}

std::unique_ptr<BatchSource> training_source(const SharedTokens& data, const SampleSettings& settings, const RowRules& rules,
                                             size_t number) {
  OrderRequest request = settings.order;
  request.seed += number;
  if (settings.dataload == Dataload::get) {
    const SampleOrder order = window_order(*data, request);
    return make_ordered_source(make_window_layout(data, rules), order, 1);
  }
  const SharedLayout layout =
      settings.dataload == Dataload::pack ? make_pack_layout(data, rules, false) : make_document_layout(data, rules, settings.run_on);
  SampleOrder order = row_order(layout->n_rows(), request, *data);
  if (settings.dataload != Dataload::pack && !has_targets(*data)) row_order(0, request, *data);  // refuses it
  if (settings.by_length) {
    order.kind = SampleOrder::Kind::table;
    order.table = by_length(*data, settings.long_first);
  }
  return make_ordered_source(layout, order, 1);
}

std::unique_ptr<BatchSource> training_source(const OpenedData& data, const SampleSettings& settings, const RowRules& rules) {
  if (data.list) return make_ordered_source(make_listed_layout(*data.list, rules), listed_order(*data.list, settings.order), 1);
  if (data.pile) return qa_source(data, settings, rules);
  std::vector<std::unique_ptr<BatchSource>> sources;
  std::vector<int64_t> bases;
  int64_t base = 0;
  for (const SharedTokens& one : data.sources) {
    sources.push_back(training_source(one, settings, rules, sources.size()));
    bases.push_back(base);
    base += one->n_tokens();
  }
  if (sources.size() == 1) return std::move(sources.front());
  return make_mixed_source(std::move(sources), SourceMix(data.weights), std::move(bases));
}

std::unique_ptr<BatchSource> validation_source(const SharedTokens& data, const SampleSettings& settings, RowRules rules) {
  rules.script_mask = false;
  if (settings.dataload == Dataload::get) return make_sequential_windows(data, rules);
  const SharedLayout layout = make_pack_layout(data, rules, settings.dataload != Dataload::pack);
  return make_ordered_source(layout, row_order(layout->n_rows(), {.kind = OrderRequest::Kind::sequential}, *data), 0);
}

}  // namespace rk
