// What the tensors of a weights file say about a model's sizes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "io/tensor_file.h"

namespace rk {

// The tensors of one file by plain name.
class FileShapes {
 public:
  // family: for messages, "RWKV-7". All three must outlive this.
  FileShapes(const std::vector<TensorInfo>& tensors, const std::string& path, const char* family);
  bool has(const std::string& name) const { return by_name_.count(name) > 0; }
  // The shape of a tensor; refuses one that is missing, empty, or has not `rank` dimensions.
  const std::vector<int64_t>& shape(const std::string& name, size_t rank) const;
  bool is_matrix(const std::string& name) const { return has(name) && by_name_.at(name)->shape.size() == 2; }
  const std::vector<int64_t>& matrix(const std::string& name) const { return shape(name, 2); }
  // Highest block number + 1.
  int64_t count_blocks() const;
  const std::string& path() const { return path_; }

 private:
  const std::string& path_;
  const char* family_;
  std::map<std::string, const TensorInfo*> by_name_;
};

// What a file says about one size, and where.
struct FoundSize {
  const char* flag;
  int64_t given, value;  // given: 0 = by nobody
  std::string tensor;
};
// The file's value; refuses a flag that says something else.
int64_t settle(const FoundSize& f, const std::string& path);

// A size of a new model: what nobody gave becomes `otherwise`; negative ones are refused.
void complete_size(int64_t& value, int64_t otherwise, const char* flag);
// Refuses other sizes.
void check_multiple_of_32(int64_t value, const char* flag);
// A head of N channels: a multiple of 8 that divides C.
void check_heads(int64_t C, int64_t N);

// "[2, 3]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace rk
