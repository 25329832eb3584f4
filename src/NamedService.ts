/**
 * Several services of one kind in one context, each under a name of its own, beside the one that has none.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/**
 * What a context holds that has a service of a kind under a name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Named<in out Kind, in out Name extends string> {
  readonly "~effect-scheduler/NamedService": { readonly kind: Kind; readonly name: Name }
}

const keyOf = (kind: string, name: string): string => `${kind}/named/${name}`

/**
 * Gives the service of a layer a name. It is built anew, and shared with no other layer: two names are two services.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Kind, Service, Name extends string, E, R>(
  tag: Context.Tag<Kind, Service>,
  name: Name,
  of: Layer.Layer<Kind, E, R>
): Layer.Layer<Named<Kind, Name>, E, R> =>
  Layer.map(Layer.fresh(of), (context) =>
    Context.make(Context.GenericTag<Named<Kind, Name>, Service>(keyOf(tag.key, name)), Context.get(context, tag))
  )

/**
 * All services of a kind that a context holds under names.
 *
 * @since 0.1.0
 * @category queries
 */
export const collect = <Kind, Service>(
  tag: Context.Tag<Kind, Service>,
  context: Context.Context<never>
): ReadonlyMap<string, Service> => {
  const prefix = keyOf(tag.key, "")
  const found = [...context.unsafeMap].filter(([key]) => key.startsWith(prefix))
  return new Map(found.map(([key, service]) => [key.slice(prefix.length), service as Service]))
}
