// The loops behind head_kernels.hpp, compiled once per instruction set (CMakeLists.txt), which
// defines LABELQUORUM_KERNELS_NAMESPACE. They use no template of the standard library: the linker
// could take one compiled here with wide instructions for the one used everywhere else.
#include <cstdint>
#include <cstring>

#include "head_kernels.hpp"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
// GCC warns of its own intrinsics (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t vector_bytes = 64;
constexpr std::size_t most_lines = 8;  // per tile: all sums stay in registers
#elif defined(__AVX2__)
constexpr std::size_t vector_bytes = 32;
constexpr std::size_t most_lines = 4;
#else
constexpr std::size_t vector_bytes = 16;
constexpr std::size_t most_lines = 4;
#endif
// NOLINTBEGIN(modernize-use-using): the attribute needs typedef
typedef float Floats __attribute__((vector_size(vector_bytes)));
typedef double Doubles __attribute__((vector_size(vector_bytes)));
typedef std::int32_t Integers __attribute__((vector_size(vector_bytes)));
// NOLINTEND(modernize-use-using)

template <class Vector, class T>
Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof(v));
    return v;
}

template <class Vector, class T>
void store(T* to, Vector v) {
    std::memcpy(to, &v, sizeof(v));
}

// Written with intrinsics, because contraction is turned off for the rest.
Floats multiply_add(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(a, b, c);
#else
    return a * b + c;
#endif
}

Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return a * b + c; }

template <class Vector>
Vector larger(Vector a, Vector b) {
    return a > b ? a : b;
}

// e^x for x <= 0. As 2^n * e^r with |r| <= log(2) / 2, e^r by its Taylor series.
Floats exponential(Floats x) {
    constexpr float to_nearest = 0x1.8p23F;  // a float above this is an integer
    x = larger(x, Floats{} - 87.0F);
    const Floats shifted = multiply_add(x, Floats{} + 0x1.715476p0F, Floats{} + to_nearest);
    const Floats n = shifted - to_nearest;
    Floats r = multiply_add(n, Floats{} - 0x1.62e4p-1F, x);
    r = multiply_add(n, Floats{} - 0x1.7f7d1cp-20F, r);
    Floats sum = Floats{} + 1.0F / 720;
    constexpr float terms[] = {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
    for (const float term : terms) {
        sum = multiply_add(sum, r, Floats{} + term);
    }
    return (Floats)((Integers)sum + ((Integers)shifted << 23));
}

// log(x) for x >= 1. As n log(2) + log(m) with m near 1, log(m) = 2 artanh((m - 1) / (m + 1)).
Floats logarithm(Floats x) {
    constexpr std::int32_t root_half = 0x3f3504f3;
    const Integers n = ((Integers)x - root_half) >> 23;
    const Floats m = (Floats)((Integers)x - (n << 23));
    const Floats s = (m - 1.0F) / (m + 1.0F);
    const Floats square = s * s;
    Floats sum = Floats{} + 2.0F / 9;
    constexpr float terms[] = {2.0F / 7, 2.0F / 5, 2.0F / 3, 2.0F};
    for (const float term : terms) {
        sum = multiply_add(sum, square, Floats{} + term);
    }
    return multiply_add(__builtin_convertvector(n, Floats), Floats{} + 0x1.62e43p-1F, sum * s);
}

Doubles exponential(Doubles x) {
    for (std::size_t i = 0; i < vector_bytes / sizeof(double); ++i) x[i] = __builtin_exp(x[i]);
    return x;
}

Doubles logarithm(Doubles x) {
    for (std::size_t i = 0; i < vector_bytes / sizeof(double); ++i) x[i] = __builtin_log(x[i]);
    return x;
}

// Values that are as precise as the rest. `depth` values of a line are multiplied at once.
template <class Real_, class Vector_>
struct Plain {
    using Real = Real_;
    using Vector = Vector_;
    using Value = Real;
    using Sums = Vector;
    static constexpr std::size_t depth = 1;
    static constexpr std::size_t lanes = vector_bytes / sizeof(Real);

    static Sums add_products(const Value* a, const Value* b, Sums sums) {
        return multiply_add(Vector{} + *a, load<Vector>(b), sums);
    }
    static Vector scaled(Sums sums, const LineScale<Real>&) { return sums; }
    static Vector scaled(Vector products, const Real*) { return products; }

    static Real put_row(const Real* row, std::size_t n_columns, std::size_t n_padded, Value* to) {
        for (std::size_t c = 0; c < n_padded; ++c) to[c] = c < n_columns ? row[c] : Real{0};
        return 1;
    }

    static void pack_lines(const Value* const* rows, std::size_t n_padded, Value* lines) {
        std::memcpy(lines, rows[0], n_padded * sizeof(Value));
    }

    static LineScale<Real> put_line(const Real* line, std::size_t n, Real factor, Value* to) {
        for (std::size_t c = 0; c < n; c += lanes) store(to + c, load<Vector>(line + c) * factor);
        return {1, 0};
    }

    static LineScale<Real> put_gradient(const Real* line, const Real*, std::size_t n, Value* to) {
        std::memcpy(to, line, n * sizeof(Value));
        return {1, 0};
    }
};

#ifdef __AVX512VNNI__

// Bytes. Each row and each line has a scale of its own. The instruction multiplies bytes without
// sign by bytes with sign, so 128 is added to the values of rows, and what it adds to the products,
// the line's `offset`, is subtracted: both are exact.
struct Bytes {
    using Real = float;
    using Vector = Floats;
    using Value = std::int8_t;
    using Sums = Integers;
    static constexpr std::size_t depth = 4;
    static constexpr std::size_t lanes = 16;
    static constexpr float most = 127;
    static constexpr int shift = 128;

    static Sums add_products(const Value* a, const Value* b, Sums sums) {
        std::int32_t factors;
        std::memcpy(&factors, a, sizeof(factors));
        return (Integers)_mm512_dpbusd_epi32((__m512i)sums, _mm512_loadu_si512(b),
                                             _mm512_set1_epi32(factors));
    }
    static Vector scaled(Sums sums, const LineScale<Real>& of_line) {
        return __builtin_convertvector(sums - of_line.offset, Floats) * of_line.scale;
    }
    static Vector scaled(Vector products, const Real* row_scales) {
        return products * load<Vector>(row_scales);
    }

    static float largest(const float* values, const float* factors, std::size_t n) {
        Floats largest{};
        for (std::size_t c = 0; c < n; c += lanes) {
            Floats v = load<Floats>(values + c);
            if (factors != nullptr) v *= load<Floats>(factors + c);
            largest = larger(largest, larger(v, -v));
        }
        return _mm512_reduce_max_ps(largest);
    }

    static float put_row(const float* row, std::size_t n_columns, std::size_t n_padded, Value* to) {
        float largest = 0;
        for (std::size_t c = 0; c < n_columns; ++c) {
            const float size = row[c] < 0 ? -row[c] : row[c];
            largest = size > largest ? size : largest;
        }
        const float factor = largest > 0 ? most / largest : 0;
        for (std::size_t c = 0; c < n_padded; ++c) {
            const float scaled = c < n_columns ? row[c] * factor : 0;
            to[c] = static_cast<Value>(static_cast<int>(__builtin_nearbyintf(scaled)) - shift);
        }
        return largest / most;
    }

    // Four rows side by side: the values of a column become one word.
    static void pack_lines(const Value* const* rows, std::size_t n_padded, Value* lines) {
        for (std::size_t c = 0; c < n_padded; c += lanes) {
            __m512i words = _mm512_setzero_si512();
            for (std::size_t r = depth; r-- > 0;) {
                const __m128i bytes = load<__m128i>(rows[r] + c);
                words = _mm512_or_si512(_mm512_slli_epi32(words, 8), _mm512_cvtepu8_epi32(bytes));
            }
            _mm512_storeu_si512(lines + c * depth, words);
        }
    }

    static LineScale<Real> put_line(const float* line, std::size_t n, float factor, Value* to) {
        const float size = largest(line, nullptr, n);
        const float inverse = size > 0 ? most / size : 0;
        __m512i sum = _mm512_setzero_si512();
        for (std::size_t c = 0; c < n; c += lanes) {
            const __m512i values = _mm512_cvtps_epi32(load<Floats>(line + c) * inverse);
            sum = _mm512_add_epi32(sum, values);
            store(to + c, _mm512_cvtepi32_epi8(values));
        }
        return {size / most * factor, shift * _mm512_reduce_add_epi32(sum)};
    }

    // Rounds up or down at random, so that small values do not get lost in sums. The digits that
    // are cut off decide, well mixed: they are as good as random.
    static LineScale<Real> put_gradient(const float* line, const float* row_scales, std::size_t n,
                                        Value* to) {
        const float size = largest(line, row_scales, n);
        const float inverse = size > 0 ? most / size : 0;
        __m512i sum = _mm512_setzero_si512();
        for (std::size_t c = 0; c < n; c += lanes) {
            const Floats scaled = load<Floats>(line + c) * load<Floats>(row_scales + c) * inverse;
            const __m512i mixed =
                _mm512_mullo_epi32((__m512i)scaled, _mm512_set1_epi32(-0x61c88647));
            const Floats part = (Floats)_mm512_cvtepi32_ps(_mm512_srli_epi32(mixed, 8)) * 0x1p-24F;
            const __m512i values =
                _mm512_cvt_roundps_epi32(scaled + part, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
            const __m512i bytes = _mm512_min_epi32(values, _mm512_set1_epi32(127));
            sum = _mm512_add_epi32(sum, bytes);
            store(to + c, _mm512_cvtepi32_epi8(bytes));
        }
        return {size / most, shift * _mm512_reduce_add_epi32(sum)};
    }
};

#endif

template <class Way>
struct Loops {
    using Real = typename Way::Real;
    using Vector = typename Way::Vector;
    using Value = typename Way::Value;
    using Sums = typename Way::Sums;
    static constexpr std::size_t depth = Way::depth;
    static constexpr std::size_t lanes = Way::lanes;
    static constexpr std::size_t width = 2 * lanes;  // of a tile
    static constexpr std::size_t column_multiple = 32;
    static_assert(pairs_per_block % width == 0 && column_multiple % width == 0);

    static Real sum_of(Vector v) {
        for (std::size_t half = lanes / 2; half > 0; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) v[i] += v[i + half];
        }
        return v[0];
    }

    // The sums of products of n_lines lines, a_step values apart, with `width` groups of `depth`
    // values at each of n_steps steps, b_step values apart. finish(line, v, sums) takes them.
    template <std::size_t n_lines, class Finish>
    static void tile(const Value* a, std::size_t a_step, const Value* b, std::size_t b_step,
                     std::size_t n_steps, const Finish& finish) {
        Sums sums[n_lines][2] = {};
        for (std::size_t k = 0; k < n_steps; ++k, a += depth, b += b_step) {
#pragma GCC unroll 8
            for (std::size_t line = 0; line < n_lines; ++line) {
                const Value* factor = a + line * a_step;
                sums[line][0] = Way::add_products(factor, b, sums[line][0]);
                sums[line][1] = Way::add_products(factor, b + lanes * depth, sums[line][1]);
            }
        }
#pragma GCC unroll 8
        for (std::size_t line = 0; line < n_lines; ++line) {
            finish(line, 0, sums[line][0]);
            finish(line, lanes, sums[line][1]);
        }
    }

    // Tiles of most_lines lines, then of half as many, and so on. The height of a tile does not
    // change its results.
    template <class Finish, std::size_t height = most_lines>
    static void column_of_tiles(const Value* a, std::size_t a_step, std::size_t n_lines,
                                const Value* b, std::size_t b_step, std::size_t n_steps,
                                const Finish& finish, std::size_t first = 0) {
        for (; first + height <= n_lines; first += height) {
            tile<height>(a + first * a_step, a_step, b, b_step, n_steps,
                         [&](std::size_t line, std::size_t lane, Sums sums) {
                             finish(first + line, lane, sums);
                         });
        }
        if constexpr (height > 1) {
            column_of_tiles<Finish, height / 2>(a, a_step, n_lines, b, b_step, n_steps, finish,
                                                first);
        }
    }

    static void multiply(const void* directions, const LineScale<Real>* line_scales,
                         std::size_t n_lines, const void* by_columns, const Real* row_scales,
                         std::size_t n_padded, Real* logits) {
        for (std::size_t row = 0; row < rows_per_block; row += width) {
            column_of_tiles(static_cast<const Value*>(directions), n_padded, n_lines,
                            static_cast<const Value*>(by_columns) + row * n_padded, width * depth,
                            n_padded / depth, [=](std::size_t line, std::size_t lane, Sums sums) {
                                const Vector products = Way::scaled(sums, line_scales[line]);
                                store(logits + line * rows_per_block + row + lane,
                                      Way::scaled(products, row_scales + row + lane));
                            });
        }
    }

    static void accumulate(const void* gradient, const LineScale<Real>* line_scales,
                           std::size_t n_lines, const void* by_rows, std::size_t n_padded,
                           Real* totals) {
        for (std::size_t c = 0; c < n_padded; c += width) {
            column_of_tiles(
                static_cast<const Value*>(gradient), rows_per_block, n_lines,
                static_cast<const Value*>(by_rows) + c * depth, n_padded * depth,
                rows_per_block / depth, [=](std::size_t line, std::size_t lane, Sums sums) {
                    Real* total = totals + line * n_padded + c + lane;
                    store(total, load<Vector>(total) + Way::scaled(sums, line_scales[line]));
                });
        }
    }

    static Real put_row(const Real* row, std::size_t n_columns, std::size_t n_padded, void* to) {
        return Way::put_row(row, n_columns, n_padded, static_cast<Value*>(to));
    }

    static void pack(const void* const* rows, std::size_t n_padded, void* by_columns,
                     void* by_rows) {
        auto* columns = static_cast<Value*>(by_columns);
        auto* lines = static_cast<Value*>(by_rows);
        for (std::size_t r = 0; r < rows_per_block; ++r) {
            const auto* row = static_cast<const Value*>(rows[r]);
            Value* column = columns + r / width * width * n_padded + r % width * depth;
            for (std::size_t c = 0; c < n_padded; c += depth, column += width * depth) {
                std::memcpy(column, row + c, depth * sizeof(Value));
            }
        }
        for (std::size_t r = 0; r < rows_per_block; r += depth) {
            const Value* together[depth];
            for (std::size_t i = 0; i < depth; ++i) {
                together[i] = static_cast<const Value*>(rows[r + i]);
            }
            Way::pack_lines(together, n_padded, lines + r * n_padded);
        }
    }

    static void pair_losses(Real* student, Real* teacher, std::size_t n_clusters, Real sharing,
                            const Real* log_means, const Real* counted, Real scale, Real* scratch,
                            Real* loss_sums, Real* mean_sums) {
        for (std::size_t p = 0; p < pairs_per_block; p += lanes) {
            losses_of_lanes(student + p, teacher + p, n_clusters, sharing, log_means,
                            load<Vector>(counted + p), scale, scratch, loss_sums, mean_sums);
        }
    }

    // `lanes` pairs. x and y are the rows of a pair.
    static void losses_of_lanes(Real* student, Real* teacher, std::size_t n_clusters, Real sharing,
                                const Real* log_means, Vector counted, Real scale, Real* scratch,
                                Real* loss_sums, Real* mean_sums) {
        constexpr std::size_t step = rows_per_block;
        constexpr std::size_t y = pairs_per_block;
        struct Both {
            Vector x, y;
        };
        const auto both = [](const Real* at) {
            return Both{load<Vector>(at), load<Vector>(at + y)};
        };
        const auto shared = [&](Both s, Both t, std::size_t c) {
            const Vector log_mean = Vector{} + log_means[c];
            return Both{multiply_add(Vector{} + sharing, s.x + t.y, -log_mean),
                        multiply_add(Vector{} + sharing, s.y + t.x, -log_mean)};
        };
        const auto raise = [](Both& most, Both values) {
            most = {larger(most.x, values.x), larger(most.y, values.y)};
        };
        Both most_s = both(student);
        Both most_t = both(teacher);
        Both most_z = shared(most_s, most_t, 0);
        for (std::size_t c = 1; c < n_clusters; ++c) {
            const Both s = both(student + c * step);
            const Both t = both(teacher + c * step);
            raise(most_s, s);
            raise(most_t, t);
            raise(most_z, shared(s, t, c));
        }
        Both sum_s{};
        Both sum_t{};
        Both sum_z{};
        Vector agreement{};
        const auto exponentials = [](Both values, Both most, Both& sum, Real* to,
                                     std::size_t to_y) {
            const Both e{exponential(values.x - most.x), exponential(values.y - most.y)};
            sum = {sum.x + e.x, sum.y + e.y};
            store(to, e.x);
            store(to + to_y, e.y);
            return e;
        };
        for (std::size_t c = 0; c < n_clusters; ++c) {
            const Both s = both(student + c * step);
            const Both t = both(teacher + c * step);
            exponentials(s, most_s, sum_s, student + c * step, y);
            const Both e = exponentials(t, most_t, sum_t, teacher + c * step, y);
            agreement += e.x * e.y;
            exponentials(shared(s, t, c), most_z, sum_z, scratch + c * width, lanes);
        }
        const Vector one = Vector{} + Real{1};
        const Both part_s{one / sum_s.x, one / sum_s.y};
        const Both part_t{counted / sum_t.x, counted / sum_t.y};
        const Both part_z{one / sum_z.x, one / sum_z.y};
        const Vector weight = agreement * part_t.x / sum_t.y;
        // log sum_c (p_c(x) q_c(y))^sharing / m_c, and with x and y exchanged; of both, the part
        // with the sums of p and q is the same.
        const Vector of_sums = most_s.x + most_s.y + most_t.x + most_t.y + logarithm(sum_s.x) +
                               logarithm(sum_s.y) + logarithm(sum_t.x) + logarithm(sum_t.y);
        const Vector of_shared = most_z.x + most_z.y + logarithm(sum_z.x) + logarithm(sum_z.y);
        const Vector loss = weight * (sharing * of_sums - of_shared) * Real{0.5};
        store(loss_sums, load<Vector>(loss_sums) + loss);
        const Vector factor = weight * (scale * sharing * Real{0.5});
        for (std::size_t c = 0; c < n_clusters; ++c) {
            const Both s = both(student + c * step);
            const Both t = both(teacher + c * step);
            const Vector zx = load<Vector>(scratch + c * width);
            const Vector zy = load<Vector>(scratch + c * width + lanes);
            store(student + c * step, factor * (s.x * part_s.x - zx * part_z.x));
            store(student + c * step + y, factor * (s.y * part_s.y - zy * part_z.y));
            Real* mean = mean_sums + c * lanes;
            store(mean, load<Vector>(mean) + (t.x * part_t.x + t.y * part_t.y));
        }
    }

    static Real sum_of_products(const Real* a, const Real* b, std::size_t n) {
        Vector sum{};
        for (std::size_t c = 0; c < n; c += lanes) {
            sum = multiply_add(load<Vector>(a + c), load<Vector>(b + c), sum);
        }
        return sum_of(sum);
    }

    static Real inverse_length(const Real* weights, std::size_t n) {
        const Real square = sum_of_products(weights, weights, n);
        return square > Real{0} ? Real{1} / static_cast<Real>(__builtin_sqrt(square)) : Real{0};
    }

    static LineScale<Real> direct(const Real* weights, std::size_t n_padded, Real scale,
                                  void* direction) {
        return Way::put_line(weights, n_padded, scale * inverse_length(weights, n_padded),
                             static_cast<Value*>(direction));
    }

    static void put_gradient(const Real* gradient, const Real* row_scales, std::size_t n_lines,
                             void* to, LineScale<Real>* line_scales) {
        for (std::size_t line = 0; line < n_lines; ++line) {
            const std::size_t at = line * rows_per_block;
            line_scales[line] = Way::put_gradient(gradient + at, row_scales, rows_per_block,
                                                  static_cast<Value*>(to) + at);
        }
    }

    static void normalize(Real* weights, std::size_t n_padded) {
        const Vector factor = Vector{} + inverse_length(weights, n_padded);
        for (std::size_t c = 0; c < n_padded; c += lanes) {
            store(weights + c, load<Vector>(weights + c) * factor);
        }
    }

    static void through_length(const Real* weights, std::size_t n_padded, Real scale,
                               Real* gradient) {
        const Real inverse = inverse_length(weights, n_padded);
        const Real along = sum_of_products(weights, gradient, n_padded) * inverse * inverse;
        const Vector factor = Vector{} + scale * inverse;
        for (std::size_t c = 0; c < n_padded; c += lanes) {
            const Vector rest = load<Vector>(gradient + c) - load<Vector>(weights + c) * along;
            store(gradient + c, rest * factor);
        }
    }

    static Vector root(Vector v) {
        if constexpr (sizeof(Real) == sizeof(float)) {
#if defined(__AVX512F__)
            return _mm512_sqrt_ps(v);
#elif defined(__AVX2__)
            return _mm256_sqrt_ps(v);
#endif
        }
        for (std::size_t i = 0; i < lanes; ++i) v[i] = static_cast<Real>(__builtin_sqrt(v[i]));
        return v;
    }

    static void update(const Real* gradient, std::size_t n_padded, const AdamStep<Real>& step,
                       Real* means, Real* squares, Real* student, Real* teacher) {
        constexpr Real mean_share = Real(0.1);
        constexpr Real square_share = Real(0.001);
        constexpr Real least = Real(1e-8);
        for (std::size_t c = 0; c < n_padded; c += lanes) {
            const auto g = load<Vector>(gradient + c);
            auto mean = load<Vector>(means + c);
            auto square = load<Vector>(squares + c);
            mean += (g - mean) * mean_share;
            square += (g * g - square) * square_share;
            store(means + c, mean);
            store(squares + c, square);
            const Vector size = root(square * step.square_scale) + least;
            const Vector moved = load<Vector>(student + c) * step.kept - mean * step.rate / size;
            store(student + c, moved);
            const auto slow = load<Vector>(teacher + c);
            store(teacher + c, moved + (slow - moved) * step.momentum);
        }
    }

    static constexpr HeadKernels<Real> table{
        column_multiple, lanes,      sizeof(Value), put_row,        pack,   multiply, pair_losses,
        put_gradient,    accumulate, direct,        through_length, update, normalize};
};

#ifdef __AVX512VNNI__
using Single = Loops<Bytes>;
#else
using Single = Loops<Plain<float, Floats>>;
#endif
using Twice = Loops<Plain<double, Doubles>>;

}  // namespace

extern const HeadKernels<float> heads32;
extern const HeadKernels<double> heads64;
const HeadKernels<float> heads32 = Single::table;
const HeadKernels<double> heads64 = Twice::table;

}  // namespace labelquorum::LABELQUORUM_KERNELS_NAMESPACE
