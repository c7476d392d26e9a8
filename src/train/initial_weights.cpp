#include "train/initial_weights.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "io/background_writer.h"
#include "io/tensor_file.h"
#include "model/families.h"
#include "model/file_tensors.h"
#include "train/build.h"
#include "train/fresh_values.h"
#include "train/resized.h"

namespace rk {
namespace {

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
    for (int64_t OldParts::*part : {&OldParts::head_qk, &OldParts::tiny_att_dim, &OldParts::pos_emb})
      if (given.old.*part == 0) {
        given.old.*part = file.old.*part;
        if (part == &OldParts::tiny_att_dim) given.old.tiny_att_layer = file.old.tiny_att_layer;
      }
    given.old.pre_ffn |= file.old.pre_ffn;
    for (int64_t ModelSpec::*width : {&ModelSpec::dim_att, &ModelSpec::dim_ffn, &ModelSpec::decay_lora, &ModelSpec::aaa_lora,
                                      &ModelSpec::mv_lora, &ModelSpec::gate_lora, &ModelSpec::mix_lora})
      if (given.*width == 0) given.*width = file.*width;
  }

  int find(const Param& p) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TensorInfo& t) { return t.name == p.name; });
    return found == tensors_.end() ? -1 : static_cast<int>(found - tensors_.begin());
  }

  // Elements [first, first + to.numel()) of p from tensor `index`.
  void put(WeightStream& stream, const Param& p, size_t index, int64_t first, const Tensor& to) {
    const TensorInfo& info = tensors_[index];
    if (info.numel() != p.numel()) return put_resized(stream, p, info, first, to);
    if (const std::byte* numbers = reader_->mapped(index))
      return stream.put(to, info.dtype, numbers + static_cast<size_t>(first) * size_of(info.dtype));
    read_.resize(static_cast<size_t>(to.numel()) * size_of(info.dtype));
    reader_->read(index, first, to.numel(), read_.data());
    stream.put(to, info.dtype, read_.data());
  }

 private:
  void put_resized(WeightStream& stream, const Param& p, const TensorInfo& info, int64_t first, const Tensor& to) {
    const std::vector<int64_t> had = squeezed(info.shape), wanted = squeezed(FileTensor{.param = &p}.info(info.dtype).shape);
    if (had.empty() || wanted.empty() || !std::equal(had.begin() + 1, had.end(), wanted.begin() + 1, wanted.end()))
      fail(cat(path_, ": tensor ", p.name, " ", text_of(info.shape), " cannot become ", text_of(wanted),
               ": only the number of rows may differ; give the file's --n_embd and widths, or leave them out"));
    const auto index = static_cast<size_t>(&info - tensors_.data());
    const int64_t rows = wanted[0], row = p.numel() / rows, first_row = first / row, end = first + to.numel();
    std::vector<double> made(static_cast<size_t>(((end + row - 1) / row - first_row) * row)), next(static_cast<size_t>(row));
    double* out = made.data();
    for (int64_t i = first_row; i * row < end; ++i, out += row) {
      const SourceRows from = source_rows(i, rows, had[0]);
      reader_->read_as(index, from.low * row, row, out);
      if (from.weight == 0) continue;
      reader_->read_as(index, (from.low + 1) * row, row, next.data());
      for (int64_t c = 0; c < row; ++c) out[c] = out[c] * (1 - from.weight) + next[static_cast<size_t>(c)] * from.weight;
    }
    stream.put(to, DType::f64, made.data() + (first - first_row * row));
  }

  std::string path_;
  std::unique_ptr<TensorReader> reader_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::byte> read_;  // of a file that is not mapped as it is
};

// The file `path`, written by a thread of its own.
BackgroundWriter new_file(const std::string& path, const Model& model, DType in_file) {
  std::vector<TensorInfo> infos;
  int64_t largest = 0;
  for (const FileTensor& t : file_tensors(model)) {
    infos.push_back(t.info(in_file));
    largest = std::max(largest, infos.back().numel());
  }
  return {create_tensor_file(path, std::move(infos), {}), Device::cpu, static_cast<size_t>(largest) * size_of(in_file)};
}

}  // namespace

std::string write_initial_weights(const RunConfig& config, const DataSet* data, DType in_file, const std::string& path, ThreadPool& pool) {
  Donor donor(config.load_model);
  ModelSpec spec = given_spec(config);
  donor.complete(spec);
  if (spec.vocab_size == 0 && data) spec.vocab_size = data->vocabulary();
  const Family& family = family_of(config.arch);
  const std::unique_ptr<Model> model = family.make(family.spec_for_new(spec));

  BackgroundWriter writer = new_file(path, *model, in_file);
  WeightStream stream({.pool = &pool}, in_file);
  FreshValues fresh(&pool, config);
  for (const FileTensor& t : file_tensors(*model)) {
    const int index = t.param ? donor.find(*t.param) : -1;
    for (int64_t at = 0, n = t.info(in_file).numel(); at < n;) {
      const Buffer& buffer = writer.take();
      const Tensor to = buffer.tensor(in_file, {std::min<int64_t>(n - at, static_cast<int64_t>(buffer.size() / size_of(in_file)))});
      if (t.derived) {
        put_derived(*t.derived, at, to);
      } else if (index >= 0) {
        donor.put(stream, *t.param, static_cast<size_t>(index), at, to);
      } else {
        fresh.put(stream, *t.param, at, to);
      }
      writer.put(to.n_bytes());
      at += to.numel();
    }
  }
  writer.finish();
  return cat("wrote ", path, ": ", model->params.numel(), " parameters in ", name_of(in_file), ", ", model->n_layer, " layers of ",
             model->n_embd, " channels");
}

}  // namespace rk
