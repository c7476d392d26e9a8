#include "data/open_data.h"

#include <utility>

#include "base/error.h"
#include "data/sampling.h"

namespace rk {
namespace {

// One token file in windows.
class WindowSet final : public DataSet {
 public:
  explicit WindowSet(DataOptions options) : options_(std::move(options)), data_(std::make_shared<const Binidx>(options_.data_file)) {
    if (options_.magic_prime > 0) check_magic_prime(options_.magic_prime, data_->n_tokens(), options_.ctx_len);
    if (!options_.val_file.empty()) validation_ = std::make_shared<const Binidx>(options_.val_file);
  }

  int64_t n_tokens() const override { return data_->n_tokens(); }
  int64_t n_documents() const override { return data_->n_documents(); }
  int64_t vocabulary() const override { return data_->largest_token() + 1; }
  std::unique_ptr<BatchSource> train_source(int64_t vocab) const override {
    return make_pile_source(data_, options_.ctx_len, options_.magic_prime, vocab);
  }
  bool has_validation() const override { return validation_ != nullptr; }
  std::unique_ptr<BatchSource> validation_source(int64_t vocab) const override {
    require(has_validation(), "a run without validation data does not validate");
    return make_sequential_source(validation_, options_.ctx_len, vocab);
  }
  std::vector<std::string> remarks() const override {
    std::vector<std::string> all;
    for (const Binidx* data : {data_.get(), validation_.get()}) {
      if (data == nullptr) continue;
      for (const std::string& warning : data->warnings()) all.push_back("warning: " + warning);
    }
    return all;
  }
  std::vector<std::string> token_files() const override {
    std::vector<std::string> files;
    for (const Binidx* data : {data_.get(), validation_.get()}) {
      if (data == nullptr) continue;
      files.push_back(data->prefix() + ".bin");
      files.push_back(data->prefix() + ".idx");
    }
    return files;
  }

 private:
  DataOptions options_;
  std::shared_ptr<const Binidx> data_, validation_;
};

}  // namespace

void prepare_data(const DataOptions& options, const PrepareSite&) {
  if (options.data_type != "binidx") fail(cat("--data_type ", options.data_type, " is not supported; make token files of it"));
}

std::unique_ptr<DataSet> open_data(const DataOptions& options, const std::string&) {
  if (options.data_type != "binidx") fail(cat("--data_type ", options.data_type, " is not supported; make token files of it"));
  return std::make_unique<WindowSet>(options);
}

}  // namespace rk
