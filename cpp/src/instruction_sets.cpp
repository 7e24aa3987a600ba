#include "labelquorum/instruction_sets.hpp"

#include <cstdlib>
#include <stdexcept>

namespace labelquorum {
namespace {

bool is_supported(InstructionSet set) {
    switch (set) {
        case InstructionSet::baseline: return true;
#ifdef LABELQUORUM_HAVE_AVX2
        case InstructionSet::avx2: return __builtin_cpu_supports("avx2") != 0;
#endif
#ifdef LABELQUORUM_HAVE_AVX512
        case InstructionSet::avx512:
            return __builtin_cpu_supports("avx512f") != 0 &&
                   __builtin_cpu_supports("avx512bw") != 0 &&
                   __builtin_cpu_supports("avx512vl") != 0 &&
                   __builtin_cpu_supports("avx512dq") != 0;
#endif
        default: return false;
    }
}

std::vector<InstructionSet> compiled() {
    std::vector<InstructionSet> sets{InstructionSet::baseline};
#ifdef LABELQUORUM_HAVE_AVX2
    sets.push_back(InstructionSet::avx2);
#endif
#ifdef LABELQUORUM_HAVE_AVX512
    sets.push_back(InstructionSet::avx512);
#endif
    return sets;
}

InstructionSet choose() {
    const char* wanted = std::getenv("LABELQUORUM_INSTRUCTION_SET");
    InstructionSet best = InstructionSet::baseline;
    for (const InstructionSet set : compiled()) {
        if (!is_supported(set)) continue;
        if (wanted != nullptr && name(set) == wanted) return set;
        best = set;
    }
    if (wanted == nullptr || *wanted == '\0') return best;
    std::string usable;
    for (const InstructionSet set : compiled()) {
        if (is_supported(set)) usable += (usable.empty() ? "" : ", ") + name(set);
    }
    throw std::invalid_argument("LABELQUORUM_INSTRUCTION_SET: \"" + std::string(wanted) +
                                "\" given; this build on this machine has " + usable);
}

}  // namespace

InstructionSet instruction_set() {
    static const InstructionSet chosen = choose();
    return chosen;
}

std::string name(InstructionSet set) {
    switch (set) {
        case InstructionSet::avx2: return "avx2";
        case InstructionSet::avx512: return "avx512";
        default: return "baseline";
    }
}

std::vector<std::string> compiled_instruction_sets() {
    std::vector<std::string> names;
    for (const InstructionSet set : compiled()) names.push_back(name(set));
    return names;
}

}  // namespace labelquorum
