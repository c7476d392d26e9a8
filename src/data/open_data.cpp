#include "data/open_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "data/samples/data_files.h"
#include "data/samples/opened.h"
#include "data/samples/prepared.h"

namespace rk {
namespace {

class OpenData final : public DataSet {
 public:
  OpenData(const DataOptions& options, const std::string& folder)
      : settings_(complete_settings(options)), data_(open_files(options, folder)) {}

  int64_t n_tokens() const override { return sum(&TokenData::n_tokens); }
  int64_t n_documents() const override { return sum(&TokenData::n_documents); }

  int64_t vocabulary() const override {
    if (data_.vocabulary > 0) return data_.vocabulary;
    int64_t largest = -1;
    data_.for_all([&](const TokenData& data) { largest = std::max(largest, data.largest_token()); });
    return largest + 1;
  }

  std::unique_ptr<BatchSource> train_source(int64_t vocab) const override { return training_source(data_, settings_, rules(vocab)); }

  bool has_validation() const override { return data_.validation != nullptr; }

  std::unique_ptr<BatchSource> validation_source(int64_t vocab) const override {
    require(has_validation(), "a run without validation data does not validate");
    return rk::validation_source(data_.validation, settings_, rules(vocab));
  }

  std::vector<std::string> remarks() const override {
    std::vector<std::string> all = data_.remarks;
    data_.for_all([&](const TokenData& data) {
      for (const std::string& warning : data.warnings()) all.push_back("warning: " + warning);
    });
    all.push_back(description(settings_));
    for (const SharedTokens& data : data_.sources)
      if (std::string chosen = chosen_prime(*data); !chosen.empty()) all.push_back(std::move(chosen));
    for (const SharedTokens& data : data_.sources) {
      if (settings_.dataload != Dataload::pad && settings_.dataload != Dataload::only) break;
      if (std::string cut = cut_documents(*data, settings_.rules.ctx_len); !cut.empty()) all.push_back(std::move(cut));
    }
    if (data_.sources.size() > 1) {
      const SourceMix mix(data_.weights);
      for (size_t s = 0; s < data_.sources.size(); ++s) {
        all.push_back(cat(data_.sources[s]->name(), ": ", std::round(mix.share(static_cast<int64_t>(s)) * 1000) / 10, " % of the samples, ",
                          data_.sources[s]->n_tokens(), " tokens"));
      }
    }
    return all;
  }

  std::vector<std::string> token_files() const override {
    std::vector<std::string> files;
    data_.for_all([&](const TokenData& data) {
      for (std::string& file : data.files()) files.push_back(std::move(file));
    });
    return files;
  }

 private:
  std::string chosen_prime(const TokenData& data) const {
    const OrderRequest& request = settings_.order;
    if (settings_.dataload != Dataload::get || request.kind != OrderRequest::Kind::prime || request.magic_prime != 0) return {};
    if (data.n_tokens() < request.ctx_len + 1 + request.shift) return {};  // which a source of samples refuses
    const SampleOrder order = window_order(data, request);
    if (order.kind != SampleOrder::Kind::prime)
      return cat(data.name(), ": ", data.n_tokens(), " tokens have no magic prime; their windows come in the order of the file");
    return cat("magic_prime ", order.n, " (computed from ", data.n_tokens(), " tokens)");
  }
  RowRules rules(int64_t vocab) const {
    RowRules rules = settings_.rules;
    rules.vocab = vocab;
    return rules;
  }
  int64_t sum(int64_t (TokenData::*count)() const) const {
    int64_t n = 0;
    for (const SharedTokens& data : data_.sources) n += (data.get()->*count)();
    return n;
  }

  SampleSettings settings_;
  OpenedData data_;
};

PreparedFile prepare_text(const PrepareArgs& args, const std::string& path, const std::string& folder) {
  PreparedFile to = prepared_text(args.options, path, folder);
  if (is_prepared(to)) return to;
  if (is_lines(args.options)) {
    prepare_lines(args, path, to);
  } else {
    prepare_characters(args, path, args.options.data_file, to);
  }
  return to;
}

void prepare_training_path(const PrepareArgs& args, const std::string& path, const std::string& folder) {
  std::string prefix = path;
  PreparedRecord record;
  if (is_text(args.options)) {
    const PreparedFile file = prepare_text(args, path, folder);
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
