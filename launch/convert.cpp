// rookery convert IN OUT: weights from one file format to another, tensor by tensor.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "io/convert.h"
#include "io/safetensors/safetensors.h"
#include "io/tensor_file.h"
#include "launch/ai00.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "model/families.h"
#include "train/checkpoint_tensors.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

constexpr int64_t block_elements = int64_t{1} << 20;

struct ConvertOptions {
  std::string in, out, dtype, part = "weights", target;
};

std::unique_ptr<TensorReader> open_input(const ConvertOptions& o) {
  const bool folder = fs::is_directory(o.in);
  if (!folder && o.part != "weights") fail(cat("--part ", o.part, " is for checkpoint folders; ", o.in, " is a file"));
  if (!folder) return open_tensor_file(o.in);
  return open_checkpoint(find_checkpoint(o.in), o.part == "all" ? CheckpointParts::all : CheckpointParts::weights);
}

// Upstream's plain names, unless two tensors would then share one.
std::vector<std::string> names_for(const TensorReader& in) {
  std::vector<std::string> names;
  for (const TensorInfo& t : in.tensors()) names.push_back(plain_name(t.name));
  if (std::set<std::string>(names.begin(), names.end()).size() == names.size()) return names;
  names.clear();
  for (const TensorInfo& t : in.tensors()) names.push_back(t.name);
  return names;
}

DType target_dtype(const ConvertOptions& o, DType stored) {
  if (!is_float(stored) || o.dtype.empty()) return stored;
  return o.dtype == "fp32" ? DType::f32 : o.dtype == "bf16" ? DType::bf16 : DType::f16;
}

std::vector<TensorInfo> output_infos(const ConvertOptions& o, const TensorReader& in) {
  const std::vector<std::string> names = names_for(in);
  std::vector<TensorInfo> infos;
  for (size_t i = 0; i < names.size(); ++i) {
    const TensorInfo& t = in.tensors()[i];
    infos.push_back({names[i], target_dtype(o, t.dtype), t.shape});
    if (o.target.empty()) continue;
    TensorInfo& out = infos.back();
    if (transposed_for_ai00(out)) std::swap(out.shape.end()[-1], out.shape.end()[-2]);
    out.name = ai00_name(out.name);
  }
  return infos;
}

std::map<std::string, std::string> output_metadata(const ConvertOptions& o, const TensorReader& in) {
  std::map<std::string, std::string> metadata = in.metadata();
  metadata.erase("format");
  // What readers of safetensors look for.
  if (o.out.ends_with(".safetensors") || !o.target.empty()) metadata["format"] = "pt";
  return metadata;
}

// Whether a number became infinite; `stored` are the same elements before.
bool overflowed(DType from, const std::byte* stored, DType to, const std::byte* converted, int64_t n) {
  if (!is_float(to) || size_of(to) >= size_of(from) + (to != DType::f16)) return false;
  std::vector<double> before(static_cast<size_t>(n)), after(static_cast<size_t>(n));
  convert_elements(to, converted, DType::f64, after.data(), n);
  if (std::none_of(after.begin(), after.end(), [](double x) { return std::isinf(x); })) return false;
  convert_elements(from, stored, DType::f64, before.data(), n);
  for (size_t i = 0; i < after.size(); ++i)
    if (std::isinf(after[i]) && !std::isinf(before[i])) return true;
  return false;
}

// Takes elements of one type and hands bytes of another to the writer.
class Converter {
 public:
  Converter(const ConvertOptions& options, TensorWriter& writer) : options_(options), writer_(writer) {}

  void copy(TensorReader& in, size_t index, const TensorInfo& out) {
    const TensorInfo& t = in.tensors()[index];
    if (!options_.target.empty() && transposed_for_ai00({plain_name(t.name), t.dtype, t.shape})) return transpose(in, index, out);
    for (int64_t at = 0; at < t.numel(); at += block_elements) {
      const int64_t n = std::min(block_elements, t.numel() - at);
      stored_.resize(static_cast<size_t>(n) * size_of(t.dtype));
      in.read(index, at, n, stored_.data());
      put(t, out, n);
    }
  }

 private:
  // Small matrices only, one or several in a tensor, so they are held whole.
  void transpose(TensorReader& in, size_t index, const TensorInfo& out) {
    const TensorInfo& t = in.tensors()[index];
    const auto rows = static_cast<size_t>(t.shape.end()[-2]), columns = static_cast<size_t>(t.shape.end()[-1]), element = size_of(t.dtype);
    std::vector<std::byte> whole(static_cast<size_t>(t.numel()) * element);
    in.read(index, 0, t.numel(), whole.data());
    stored_.resize(whole.size());
    const size_t matrix = rows * columns * element;
    for (size_t first = 0; first < whole.size(); first += matrix)
      for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < columns; ++c)
          std::copy_n(&whole[first + (r * columns + c) * element], element, &stored_[first + (c * rows + r) * element]);
    put(t, out, t.numel());
  }

  void put(const TensorInfo& t, const TensorInfo& out, int64_t n) {
    converted_.resize(static_cast<size_t>(n) * size_of(out.dtype));
    convert_elements(t.dtype, stored_.data(), out.dtype, converted_.data(), n);
    if (overflowed(t.dtype, stored_.data(), out.dtype, converted_.data(), n))
      fail(cat("tensor ", t.name, " holds numbers beyond the range of ", name_of(out.dtype), "; choose --dtype bf16 or fp32"));
    writer_.write(converted_.data(), converted_.size());
  }

  const ConvertOptions& options_;
  TensorWriter& writer_;
  std::vector<std::byte> stored_, converted_;
};

std::unique_ptr<TensorWriter> open_output(const ConvertOptions& o, const std::vector<TensorInfo>& infos,
                                          const std::map<std::string, std::string>& metadata) {
  if (o.target.empty()) return create_tensor_file(o.out, infos, metadata);
  return create_safetensors(o.out, infos, metadata);
}

void check_target(const ConvertOptions& o, const TensorReader& in) {
  if (o.target.empty()) {
    if (o.out.ends_with(".st"))
      fail(cat(o.out, ": .st files are Ai00's own variant of safetensors; add --for ai00, or write .safetensors"));
    return;
  }
  if (!o.out.ends_with(".st") && !o.out.ends_with(".safetensors")) fail(cat("--for ai00 writes .st or .safetensors, not ", o.out));
  if (o.dtype != "fp16") fail(cat("--for ai00 needs --dtype fp16, not ", o.dtype));
  if (o.part != "weights") fail(cat("--for ai00 converts weights, not --part ", o.part));
  family_of_file(in.tensors(), o.in);  // refuses what is no model
}

void convert(ConvertOptions o) {
  if (!o.target.empty() && o.dtype.empty()) o.dtype = "fp16";
  std::error_code none;
  if (fs::equivalent(o.in, o.out, none)) fail(cat(o.in, " and ", o.out, " are the same file; choose another name for the result"));
  const std::unique_ptr<TensorReader> in = open_input(o);
  check_target(o, *in);
  const std::vector<TensorInfo> infos = output_infos(o, *in);
  const std::unique_ptr<TensorWriter> writer = open_output(o, infos, output_metadata(o, *in));
  Converter converter(o, *writer);
  int64_t numel = 0;
  for (size_t i = 0; i < infos.size(); ++i) {
    converter.copy(*in, i, infos[i]);
    numel += infos[i].numel();
  }
  writer->finish();
  log_info(cat("wrote ", o.out, ": ", infos.size(), " tensors, ", numel, " numbers, ", fs::file_size(o.out), " bytes"));
}

}  // namespace

int convert_main(int argc, char** argv) {
  ConvertOptions o;
  CLI::App app{"Weights from one file format to another; the ending of OUT decides", "rookery convert"};
  app.add_option("in", o.in, "a checkpoint folder, a run's folder (its newest checkpoint), .pth, .safetensors or .h5")->required();
  app.add_option("out", o.out, "NAME.pth, NAME.safetensors or NAME.h5")->required();
  app.add_option("--dtype", o.dtype, "type of the numbers written: fp32, bf16 or fp16; default: as they are")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}));
  app.add_option("--part", o.part, "of a checkpoint: weights, or all (master weights and Adam's moments as well)")
      ->check(CLI::IsMember({"weights", "all"}));
  app.add_option("--for", o.target, "ai00: the layout of Ai00 and web-rwkv (fp16), NAME.st")->check(CLI::IsMember({"ai00"}));
  if (parse_words(app, argc, argv)) convert(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
