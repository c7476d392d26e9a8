#include "train/initial_weights.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "io/convert.h"
#include "io/tensor_file.h"
#include "model/families.h"
#include "params/init.h"
#include "train/build.h"
#include "train/resized.h"

namespace rk {
namespace {

TensorInfo info_of(const Param& p, DType dtype) {
  TensorInfo info;
  info.name = p.name;
  info.dtype = dtype;
  info.shape.assign(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
  return info;
}

// Sizes without those that are 1.
std::vector<int64_t> squeezed(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t n : shape) text += cat(text.empty() ? "" : ", ", n);
  return "[" + text + "]";
}

// A file whose tensors go before fresh values; without a path, none.
class Donor {
 public:
  explicit Donor(const std::string& path) : path_(path) {
    if (path.empty()) return;
    reader_ = open_tensor_file(path);
    tensors_ = reader_->tensors();
    for (TensorInfo& t : tensors_) t.name = plain_name(t.name);
  }

  void complete(ModelSpec& given) const {
    if (!reader_) return;
    ModelSpec any;
    any.arch = given.arch;
    const ModelSpec file = family_of_file(tensors_, path_).spec_from_file(any, tensors_, path_);
    for (int64_t ModelSpec::*size : {&ModelSpec::n_layer, &ModelSpec::n_embd, &ModelSpec::vocab_size, &ModelSpec::head_size})
      if (given.*size == 0) given.*size = file.*size;
    if (given.n_embd != file.n_embd) return;  // widths follow the channels
    for (int64_t ModelSpec::*width : {&ModelSpec::decay_lora, &ModelSpec::aaa_lora, &ModelSpec::mv_lora, &ModelSpec::gate_lora})
      if (given.*width == 0) given.*width = file.*width;
  }

  int find(const Param& p) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorInfo& t) { return t.name == p.name; });
    return found == tensors_.end() ? -1 : static_cast<int>(found - tensors_.begin());
  }

  std::vector<double> read(const Param& p, size_t index) const {
    const TensorInfo& info = tensors_[index];
    std::vector<double> values(static_cast<size_t>(info.numel()));
    reader_->read_as(index, 0, info.numel(), values.data());
    if (info.numel() == p.numel()) return values;
    const std::vector<int64_t> from = squeezed(info.shape), to = squeezed(info_of(p, info.dtype).shape);
    if (from.empty() || to.empty() || !std::equal(from.begin() + 1, from.end(), to.begin() + 1, to.end()))
      fail(cat(path_, ": tensor ", p.name, " ", text_of(info.shape), " cannot become ", text_of(to),
               ": only the number of rows may differ; give the file's --n_embd and widths, or leave them out"));
    return resized_rows(values, p.numel() / to[0], to[0]);
  }

 private:
  std::string path_;
  std::unique_ptr<TensorReader> reader_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

std::string write_initial_weights(const RunConfig& config, const Binidx* data, DType in_file, const std::string& path, ThreadPool& pool) {
  const Donor donor(config.load_model);
  ModelSpec spec = given_spec(config);
  donor.complete(spec);
  if (spec.vocab_size == 0 && data) spec.vocab_size = vocabulary_of(*data);
  const Family& family = family_of(config.arch);
  const std::unique_ptr<Model> model = family.make(family.spec_for_new(spec));

  std::vector<TensorInfo> infos;
  for (const Param& p : model->params.all()) infos.push_back(info_of(p, in_file));
  const auto writer = create_tensor_file(path, infos, {});
  std::vector<std::byte> bytes;
  for (const Param& p : model->params.all()) {
    const int index = donor.find(p);
    const std::vector<double> values = index >= 0                ? donor.read(p, static_cast<size_t>(index))
                                       : config.init == "normal" ? quick_values(p, seed_of(config), &pool)
                                                                 : fresh_values(p, seed_of(config), &pool);
    bytes.resize(values.size() * size_of(in_file));
    convert_elements(DType::f64, values.data(), in_file, bytes.data(), static_cast<int64_t>(values.size()));
    writer->write(bytes.data(), bytes.size());
  }
  writer->finish();
  return cat("wrote ", path, ": ", model->params.numel(), " parameters in ", name_of(in_file), ", ", model->n_layer, " layers of ",
             model->n_embd, " channels");
}

}  // namespace rk
