#include "model/families.h"

#include <algorithm>

#include "model/rwkv4/family.h"
#include "model/rwkv5/family.h"
#include "model/rwkv6/family.h"
#include "model/rwkv7/family.h"

namespace rk {

const std::vector<Family>& families() {
  static const std::vector<Family> list{
      {"x070", "rwkv7", "RWKV-7 \"Goose\"", rwkv7::matches, rwkv7::spec_from_file, rwkv7::spec_for_new, rwkv7::make, set_groups},
      {"x060", "rwkv6", "RWKV-6 \"Finch\"", rwkv6::matches, rwkv6::spec_from_file, rwkv6::spec_for_new, rwkv6::make, set_groups},
      {"x052", "rwkv5", "RWKV-5 \"Eagle\"", rwkv5::matches, rwkv5::spec_from_file, rwkv5::spec_for_new, rwkv5::make, set_groups},
      {"x040", "rwkv4", "RWKV-4 \"Dove\"", rwkv4::matches, rwkv4::spec_from_file, rwkv4::spec_for_new, rwkv4::make, set_groups},
  };
  return list;
}

static std::string known() {
  std::string text;
  for (const Family& f : families()) text += cat(text.empty() ? "" : ", ", f.arch, " (", f.description, ")");
  return text;
}

const Family& family_of(const std::string& arch) {
  for (const Family& f : families())
    if (arch.find(f.arch) != std::string::npos || arch == f.name) return f;
  fail(cat("model architecture ", arch, " is not known; known are: ", known()));
}

const Family& family_of_file(const std::vector<TensorInfo>& tensors, const std::string& path) {
  std::vector<TensorInfo> plain = tensors;
  for (TensorInfo& t : plain) t.name = plain_name(t.name);
  for (const Family& f : families())
    if (f.matches(plain)) return f;
  fail(
      cat(path, ": its tensors are of no known architecture (known are: ", known(), "); give a file of one of these, in upstream's names"));
}

std::string plain_name(const std::string& name) {
  static constexpr std::string_view wrappers[] = {"_forward_module", "module", "_orig_mod"}, leading[] = {"model", "state_dict"};
  std::string plain;
  for (size_t begin = 0; begin < name.size();) {
    const size_t dot = name.find('.', begin);
    const std::string_view part = std::string_view(name).substr(begin, dot == std::string::npos ? dot : dot - begin);
    const bool last = dot == std::string::npos;
    const bool wrapper = std::find(std::begin(wrappers), std::end(wrappers), part) != std::end(wrappers);
    const bool prefix = plain.empty() && std::find(std::begin(leading), std::end(leading), part) != std::end(leading);
    if (last || !(wrapper || prefix)) {
      if (!plain.empty()) plain += '.';
      plain += part;
    }
    begin = last ? name.size() : dot + 1;
  }
  return plain;
}

}  // namespace rk
