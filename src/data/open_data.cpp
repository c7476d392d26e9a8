#include "data/open_data.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "data/samples/array_tokens.h"
#include "data/samples/data_files.h"
#include "data/samples/pile_list.h"
#include "data/samples/prepared.h"
#include "data/samples/settings.h"
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

class OpenData final : public DataSet {
 public:
  OpenData(const DataOptions& options, const std::string& folder) : options_(options), settings_(settings_of(options)) {
    if (settings_.rules.turns != RowRules::Turns::all) settings_.rules.markers = turn_markers(options_, *data_tokenizer(options_));
    open_training(folder);
    open_validation(folder);
    check_prime();
  }

  int64_t n_tokens() const override { return sum(&TokenData::n_tokens); }
  int64_t n_documents() const override { return sum(&TokenData::n_documents); }

  int64_t vocabulary() const override {
    if (vocabulary_ > 0) return vocabulary_;
    int64_t largest = -1;
    for_all([&](const TokenData& data) { largest = std::max(largest, data.largest_token()); });
    return largest + 1;
  }

  std::unique_ptr<BatchSource> train_source(int64_t vocab) const override {
    RowRules rules = settings_.rules;
    rules.vocab = vocab;
    if (list_) return listed_source(rules);
    if (pile_) return qa_source(rules);
    std::vector<std::unique_ptr<BatchSource>> sources;
    std::vector<int64_t> bases;
    int64_t base = 0;
    for (const SharedTokens& data : sources_) {
      sources.push_back(source_of(data, rules, sources.size()));
      bases.push_back(base);
      base += data->n_tokens();
    }
    if (sources.size() == 1) return std::move(sources.front());
    return make_mixed_source(std::move(sources), SourceMix(weights_), std::move(bases));
  }

  bool has_validation() const override { return validation_ != nullptr; }

  std::unique_ptr<BatchSource> validation_source(int64_t vocab) const override {
    require(has_validation(), "a run without validation data does not validate");
    RowRules rules = settings_.rules;
    rules.vocab = vocab;
    rules.script_mask = false;
    if (settings_.dataload == Dataload::get) return make_sequential_windows(validation_, rules);
    const SharedLayout layout = make_pack_layout(validation_, rules, settings_.dataload != Dataload::pack);
    return make_ordered_source(layout, row_order(layout->n_rows(), {.kind = OrderRequest::Kind::sequential}, *validation_), 0);
  }

  std::vector<std::string> remarks() const override {
    std::vector<std::string> all = remarks_;
    for_all([&](const TokenData& data) {
      for (const std::string& warning : data.warnings()) all.push_back("warning: " + warning);
    });
    if (sources_.size() > 1) {
      const SourceMix mix(weights_);
      for (size_t s = 0; s < sources_.size(); ++s) {
        all.push_back(cat(sources_[s]->name(), ": ",
                          static_cast<double>(static_cast<int64_t>(mix.share(static_cast<int64_t>(s)) * 1000 + 0.5)) / 10,
                          " % of the samples, ", sources_[s]->n_tokens(), " tokens"));
      }
    }
    return all;
  }

  std::vector<std::string> token_files() const override {
    std::vector<std::string> files;
    for_all([&](const TokenData& data) {
      for (std::string& file : data.files()) files.push_back(std::move(file));
    });
    return files;
  }

 private:
  void open_training(const std::string& folder) {
    const std::string split = options_.val_split > 0 ? "-train" : "";
    if (options_.my_pile_version == 2) {
      list_ = open_pile_list(options_.data_file, options_.ctx_len);
      sources_ = {join_tokens(list_->parts)};
      return;
    }
    std::vector<SharedTokens> parts;
    for (const std::string& path : data_paths(options_, options_.data_file, "data_file"))
      parts.push_back(take(open_path(options_, path, folder, split)));
    weights_ = data_weights(options_, parts.size());
    if (weights_.empty()) parts = {join_tokens(std::move(parts))};
    if (weights_.size() > 1 && options_.max_train_samples > 0)
      fail("--max_train_samples does not go with --data_weights, which say how often each file is used");
    if (options_.max_train_samples > 0) parts = {first_documents(parts.front(), options_.max_train_samples)};
    sources_ = std::move(parts);
    if (!options_.instruct_data_file.empty()) add_instructions(folder);
    if (weights_.empty()) weights_ = {1};
    if (options_.my_qa_mask > 0) pile_ = take(open_path(options_, options_.my_qa_pile, folder, {}));
  }

  void add_instructions(const std::string& folder) {
    std::vector<SharedTokens> parts;
    for (const std::string& path : data_paths(options_, options_.instruct_data_file, "instruct_data_file"))
      parts.push_back(take(open_path(options_, path, folder, {})));
    if (weights_.empty()) weights_ = {1};
    const double rest = std::accumulate(weights_.begin(), weights_.end(), 0.0) / (1 - options_.instruct_data_ratio);
    weights_.push_back(rest * options_.instruct_data_ratio);
    sources_.push_back(join_tokens(std::move(parts)));
  }

  void open_validation(const std::string& folder) {
    std::vector<SharedTokens> parts;
    if (options_.val_split > 0) {
      for (const std::string& path : data_paths(options_, options_.data_file, "data_file"))
        parts.push_back(open_path(options_, path, folder, "-val").tokens);
    } else if (!options_.val_file.empty()) {
      for (const std::string& path : data_paths(options_, options_.val_file, "val_file"))
        parts.push_back(take(open_path(options_, path, folder, {})));
    }
    if (parts.empty()) return;
    validation_ = join_tokens(std::move(parts));
    if (options_.max_eval_samples > 0) validation_ = first_documents(validation_, options_.max_eval_samples);
  }

  SharedTokens take(Opened opened) {
    vocabulary_ = std::max(vocabulary_, opened.vocabulary);
    remarks_.insert(remarks_.end(), opened.remarks.begin(), opened.remarks.end());
    return opened.tokens;
  }

  void check_prime() const {
    if (options_.magic_prime == 0) return;
    if (sources_.size() > 1) fail("--magic_prime is of one text; data that is mixed has an order for each part: leave it out, or give 0");
    check_magic_prime(options_.magic_prime, list_ ? list_->total() : sources_.front()->n_tokens(), options_.ctx_len);
  }

  std::unique_ptr<BatchSource> source_of(const SharedTokens& data, const RowRules& rules, size_t number) const {
    OrderRequest request = settings_.order;
    request.seed += number;
    if (settings_.dataload == Dataload::get) {
      const SampleOrder order = window_order(*data, request);
      return make_ordered_source(make_window_layout(data, rules), order, 1);
    }
    const SharedLayout layout =
        settings_.dataload == Dataload::pack ? make_pack_layout(data, rules, false) : make_document_layout(data, rules, settings_.run_on);
    SampleOrder order = row_order(layout->n_rows(), request, *data);
    if (settings_.by_length) {
      order.kind = SampleOrder::Kind::table;
      order.table = by_length(*data, settings_.long_first);
    }
    return make_ordered_source(layout, order, 1);
  }

  std::unique_ptr<BatchSource> listed_source(const RowRules& rules) const {
    return make_ordered_source(make_listed_layout(*list_, rules), listed_order(*list_, settings_.order), 1);
  }

  std::unique_ptr<BatchSource> qa_source(const RowRules& rules) const {
    const SharedTokens& main = sources_.front();
    window_order(*pile_, {.kind = OrderRequest::Kind::random, .ctx_len = options_.ctx_len});  // refuses a pile that is too small
    return make_qa_pile_source({.main = make_window_layout(main, rules),
                                .pile = make_window_layout(pile_, rules),
                                .order = window_order(*main, settings_.order),
                                .n_random = n_random_places(pile_->n_tokens(), options_.ctx_len),
                                .main_tokens = main->n_tokens(),
                                .seed = settings_.order.seed,
                                .masked = options_.my_qa_mask == 1});
  }

  template <class Visit>
  void for_all(Visit&& visit) const {
    for (const SharedTokens& data : sources_) visit(*data);
    if (pile_) visit(*pile_);
    if (validation_) visit(*validation_);
  }
  int64_t sum(int64_t (TokenData::*count)() const) const {
    int64_t n = 0;
    for (const SharedTokens& data : sources_) n += (data.get()->*count)();
    return n;
  }

  DataOptions options_;
  SampleSettings settings_;
  std::vector<SharedTokens> sources_;  // of the training data
  std::vector<double> weights_;        // one each
  std::optional<PileList> list_;       // of my_pile_version 2
  SharedTokens pile_, validation_;     // pile_: of my_qa_mask
  int64_t vocabulary_ = 0;             // of tokens made of text
  std::vector<std::string> remarks_;
};

void prepare_text(const PrepareArgs& args, const std::string& path, const std::string& folder) {
  const PreparedFile to = prepared_text(args.options, path, folder);
  if (is_prepared(to)) return;
  if (is_lines(args.options)) return prepare_lines(args, path, to);
  prepare_characters(args, path, args.options.data_file, to);
}

void prepare_training_path(const PrepareArgs& args, const std::string& path, const std::string& folder) {
  std::string prefix = path;
  PreparedRecord record;
  if (is_text(args.options)) {
    prepare_text(args, path, folder);
    const PreparedFile file = prepared_text(args.options, path, folder);
    prefix = file.prefix;
    record = read_record(file);
  }
  if (args.options.val_split == 0) return;
  const PreparedFile sides = prepared_split(args.options, prefix, folder);
  if (is_prepared(sides, "-train") && is_prepared(sides, "-val")) return;
  prepare_split(args, *open_binidx_tokens(prefix, record.marks || args.options.loss_mask == "roles"), record, sides);
}

}  // namespace

void prepare_data(const DataOptions& options, const PrepareSite& site) {
  settings_of(options);
  if (!is_text(options) && options.val_split == 0) return;
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(site.folder, error);
  if (error) fail(cat(site.folder, ": cannot create the folder: ", error.message()));
  const PrepareArgs args{.options = options, .threads = std::max(site.threads, 1), .say = site.say};
  for (const std::string& path : data_paths(options, options.data_file, "data_file")) prepare_training_path(args, path, site.folder);
  if (is_text(options) && !options.instruct_data_file.empty())
    for (const std::string& path : data_paths(options, options.instruct_data_file, "instruct_data_file"))
      prepare_text(args, path, site.folder);
  if (is_text(options) && !options.val_file.empty())
    for (const std::string& path : data_paths(options, options.val_file, "val_file")) prepare_text(args, path, site.folder);
  if (is_text(options) && !is_lines(options))
    write_vocab_json(options, options.data_file, (fs::absolute(site.folder).lexically_normal().parent_path() / "vocab.json").string());
}

std::unique_ptr<DataSet> open_data(const DataOptions& options, const std::string& folder) {
  return std::make_unique<OpenData>(options, folder);
}

}  // namespace rk
